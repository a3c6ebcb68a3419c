"""Route decorators of FastAPI above workflow decorators, and statuses as answers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel

from pyengine import DBOS, SetWorkflowID, WorkflowStatus

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer releases would rather have another HTTP client under it
    from fastapi.testclient import TestClient

app = FastAPI()


class Order(BaseModel):
    product: str
    count: int = 1


@DBOS.step()
def price_order(count: int) -> int:
    return 3 * count


@app.post("/orders/{order_id}")
@DBOS.workflow()
def place_order(order_id: str, count: int = 1) -> dict[str, Any]:
    return {"order_id": order_id, "price": price_order(count), "workflow_id": DBOS.workflow_id}


@app.post("/orders-async/{order_id}")
@DBOS.workflow()
async def place_order_async(order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "workflow_id": DBOS.workflow_id}


@app.post("/models")
@DBOS.workflow()
def place_model(order: Order) -> Order:
    return Order(product=order.product.upper(), count=price_order(order.count))


@app.get("/failing")
@DBOS.workflow()
def failing_route() -> None:
    raise KeyError("soap")


@app.get("/status/{workflow_id}", response_model=None)
def route_status(workflow_id: str) -> Any:
    return DBOS.get_workflow_status(workflow_id)


@app.get("/status-async/{workflow_id}", response_model=None)
async def route_status_async(workflow_id: str) -> Any:
    return await DBOS.get_workflow_status_async(workflow_id)


@app.post("/start/{order_id}")
async def route_start(order_id: str) -> dict[str, str]:
    with SetWorkflowID(order_id):
        handle = await DBOS.start_workflow_async(place_order_async, order_id)
    return {"workflow_id": handle.workflow_id}


@pytest.fixture
def client(dbos: type[DBOS]) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as each:
        yield each


def test_a_sync_workflow_is_a_handler(client: TestClient) -> None:
    answer = client.post("/orders/7?count=2").json()

    assert (answer["order_id"], answer["price"]) == ("7", 6)
    assert DBOS.get_result(answer["workflow_id"]) == answer


def test_a_coroutine_workflow_is_a_handler(client: TestClient) -> None:
    answer = client.post("/orders-async/7").json()

    assert DBOS.get_result(answer["workflow_id"]) == answer


def test_a_handler_keeps_its_parameters_and_models(client: TestClient) -> None:
    assert client.post("/models", json={"product": "soap"}).json() == {
        "product": "SOAP",
        "count": 3,
    }
    assert client.post("/orders/7?count=many").status_code == 422


def test_an_error_of_a_workflow_is_the_handlers(client: TestClient) -> None:
    assert client.get("/failing").status_code == 500


def test_a_workflow_that_a_handler_starts_goes_on_after_the_answer(client: TestClient) -> None:
    assert client.post("/start/started-by-handler").json() == {"workflow_id": "started-by-handler"}

    assert DBOS.get_result("started-by-handler")["order_id"] == "started-by-handler"


@pytest.mark.parametrize("route", ["/status", "/status-async"])
def test_a_status_is_an_answer(client: TestClient, route: str) -> None:
    with SetWorkflowID("asked"):
        place_order("asked")

    answer = client.get(f"{route}/asked").json()

    assert (answer["workflow_id"], answer["status"]) == ("asked", "SUCCESS")
    assert answer["input"] == {"args": ["asked"], "kwargs": {}}
    assert answer["output"]["price"] == 3
    assert client.get(f"{route}/nobody").json() is None


def test_a_status_with_an_error_is_an_answer(client: TestClient) -> None:
    with pytest.raises(KeyError), SetWorkflowID("asked-failed"):
        failing_route()

    answer = client.get("/status/asked-failed")

    assert (answer.status_code, answer.json()["status"]) == (200, "ERROR")


def test_every_field_of_a_status_can_be_encoded(client: TestClient) -> None:
    with SetWorkflowID("encoded"):
        place_order("encoded")
    status = DBOS.get_workflow_status("encoded")
    assert isinstance(status, WorkflowStatus)

    assert json.loads(json.dumps(jsonable_encoder(status)))["name"] == "place_order"
