"""The part of `DBOS` that says on whose behalf code runs, and who may call what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from pyengine import decorators, identity
from pyengine.decorators import find_registered

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


class Authentication:
    """The part of `DBOS` that says on whose behalf code runs, and who may call what."""

    @classmethod
    def set_authentication(cls, user: str | None, roles: Sequence[str] | None) -> None:
        """Change on whose behalf the code runs, and what it starts, until the surrounding block or function ends.

        Args:
            user: The user's name; None is nobody.
            roles: The user's roles.

        Raises:
            AssertionError: Called outside of workflows and of `DBOSContextEnsure` and `DBOSContextSetAuth` blocks.
            DBOSException: The roles are no list of texts.
        """
        identity.set_authentication(user, roles)

    @classmethod
    def required_roles(cls, roles: Sequence[str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Let only users with one of these roles call a workflow, step or function.

        A workflow is checked when it is called, before anything is stored, and again when it runs after a queue or a
        recovery. The first of the roles that the user has is `DBOS.assumed_role`. May stand above or below
        `@DBOS.workflow()` and `@DBOS.step()`; it goes before what the class requires.

        Args:
            roles: The roles, of which the user needs one; an empty list lets everybody in.

        Raises:
            DBOSException: The roles are no list of texts.
        """
        return identity.required_roles(roles, find_registered)

    @classmethod
    def default_required_roles(cls, roles: Sequence[str]) -> Callable[[C], C]:
        """Require one of these roles for all workflows and steps of a class; registers the class too.

        Args:
            roles: As for `required_roles`.

        Raises:
            DBOSException: The roles are no list of texts.
        """
        return decorators.default_required_roles(roles)
