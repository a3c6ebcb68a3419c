"""On whose behalf code runs: who is authenticated, which roles a function requires, and who may call it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from pyengine.context import (
    Options,
    OptionsBlock,
    current_options,
    current_scope,
    set_identity,
)
from pyengine.errors import DBOSException, DBOSNotAuthorizedError
from pyengine.registry import RegisteredWorkflow
from pyengine.runs import NOBODY, Identity

P = ParamSpec("P")
R = TypeVar("R")


def current_identity() -> Identity | None:
    """On whose behalf the calling code runs; None outside workflows and contexts."""
    options, scope = current_options(), current_scope()
    if options.identity is not None:
        return options.identity
    if scope is not None:
        return scope.run.identity
    return NOBODY if options.has_context else None


def require_identity(what: str) -> Identity:
    """As `current_identity`.

    Raises:
        AssertionError: Called outside of workflows and contexts.
    """
    identity = current_identity()
    if identity is None:
        raise AssertionError(
            f"{what} was used outside of workflows: enter DBOSContextEnsure() or DBOSContextSetAuth(...) first"
        )
    return identity


def set_authentication(user: str | None, roles: Sequence[str] | None) -> None:
    """See `DBOS.set_authentication`."""
    require_identity("DBOS.set_authentication")
    set_identity(_identity_of(user, roles))


def authorize(name: str, roles: Sequence[str], identity: Identity | None) -> Identity:
    """The identity under which a function may run: with the first required role that its user has.

    Raises:
        DBOSNotAuthorizedError: The user has none of them, or there is no user.
    """
    if not roles:
        return NOBODY if identity is None else identity
    if identity is None or not (identity.user or identity.roles):
        raise DBOSNotAuthorizedError(
            f"Function {name} requires a role, but was called in a context without authentication information"
        )
    for role in roles:
        if role in (identity.roles or ()):
            return replace(identity, assumed_role=role)
    raise DBOSNotAuthorizedError(
        f"Function {name} has required roles ({', '.join(roles)}), "
        f"but user {identity.user} is not authenticated for any of them"
    )


@contextmanager
def authorized(name: str, roles: Sequence[str]) -> Iterator[None]:
    """Run the block in the first required role that the user has.

    Raises:
        DBOSNotAuthorizedError: The user has none of them, or there is no user.
    """
    if not roles:
        yield
        return
    restore = set_identity(authorize(name, roles, current_identity()))
    try:
        yield
    finally:
        restore()


def required_roles(
    roles: Sequence[str], registered_of: Callable[[Any], RegisteredWorkflow | None]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """See `DBOS.required_roles`; `registered_of` finds the registration of a decorated function."""
    wanted = checked_roles(roles)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        registered = registered_of(function)
        if registered is not None:
            registered.required_roles = wanted
            if not registered.is_step:
                return function
        wrapper = _guard(function, wanted)
        setattr(wrapper, ROLES, wanted)
        return wrapper

    return decorate


# What a function that `required_roles` decorated requires, for the decorators above it.
ROLES = "__pyengine_roles__"


def _guard(function: Callable[P, R], roles: Sequence[str]) -> Callable[P, R]:
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with authorized(name, roles):
                return await function(*args, **kwargs)

        return cast("Callable[P, R]", call_async)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with authorized(name, roles):
            return function(*args, **kwargs)

    return call


def checked_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """The roles as a tuple.

    Raises:
        DBOSException: They are no list of texts.
    """
    if isinstance(roles, str) or not all(isinstance(role, str) for role in roles):
        raise DBOSException(f"roles must be a list of str, not {roles!r}")
    return tuple(roles)


def _identity_of(user: str | None, roles: Sequence[str] | None) -> Identity:
    if user is not None and not isinstance(user, str):
        raise DBOSException(f"the authenticated user must be a str or None, not {user!r}")
    return Identity(user, None, list(checked_roles(roles or ())) or None)


class DBOSContext:
    """What `DBOSContextEnsure` and `DBOSContextSetAuth` give: on whose behalf the code in the block runs."""

    @property
    def authenticated_user(self) -> str | None:
        """The user."""
        return require_identity("DBOSContext").user

    @property
    def authenticated_roles(self) -> list[str] | None:
        """The user's roles."""
        return roles_of(require_identity("DBOSContext"))

    @property
    def assumed_role(self) -> str | None:
        """The role in which a function runs that requires one."""
        return require_identity("DBOSContext").assumed_role


def roles_of(identity: Identity) -> list[str] | None:
    """The roles as a list, None if there are none."""
    return list(identity.roles) if identity.roles else None


class DBOSContextEnsure(OptionsBlock):
    """Make a context for `DBOS.set_authentication` and `DBOS.authenticated_user`, if the code has none."""

    def _change(self, options: Options) -> Options:
        return replace(options, has_context=True)

    def __enter__(self) -> DBOSContext:
        super().__enter__()
        return DBOSContext()


class DBOSContextSetAuth(DBOSContextEnsure):
    """Run the block, and the workflows that are started in it, on behalf of a user.

    Args:
        user: The user's name; None is nobody.
        roles: The user's roles, for functions with `DBOS.required_roles`.

    Raises:
        DBOSException: The roles are no list of texts.
    """

    def __init__(self, user: str | None, roles: list[str] | None) -> None:
        super().__init__()
        self._identity = _identity_of(user, roles)

    def _change(self, options: Options) -> Options:
        return replace(options, has_context=True, identity=self._identity)
