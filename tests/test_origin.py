"""The origin's application runs as it is, with only its imports changed, and its lines have its keys."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import asynccontextmanager

import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from starlette.background import BackgroundTasks

import trackline
from trackline import TRACKING_ID, TrackingMiddleware, close_log_queue, get_tracking_id, setup_logger
from trackline.logs import setup as logs_setup

KEYS = ["@timestamp", "level", "name", "processName", "tracking_id", "loc", "func", "message"]


@pytest.fixture
def logger(tmp_path):
    name = "origin"
    made = setup_logger(name, log_dir=str(tmp_path / "logs"), enable_console=False)
    yield made
    close_log_queue()
    logs_setup._loggers.pop(name)
    made.handlers.clear()
    made.filters.clear()


async def query(logger):
    await asyncio.sleep(0)
    logger.info(f"in the query: {TRACKING_ID.get()}")


async def job(logger, tracking_id):
    token = TRACKING_ID.set(tracking_id)
    try:
        await asyncio.sleep(0)
        logger.info("in the job")
    finally:
        TRACKING_ID.reset(token)


def make_app(logger):
    @asynccontextmanager
    async def lifespan(app):
        try:
            yield
        finally:
            close_log_queue()

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(TrackingMiddleware)  # the origin's way of putting it there

    @app.get("/plain")
    async def plain():
        return PlainTextResponse(str(TRACKING_ID.get()))

    @app.get("/depends")
    async def depends(tracking_id: str = Depends(get_tracking_id)):
        logger.info("in the endpoint: %s", tracking_id)
        await query(logger)
        return PlainTextResponse(tracking_id)

    @app.get("/later")
    async def later(tasks: BackgroundTasks):
        tracking_id = TRACKING_ID.get()
        tasks.add_task(job, logger, tracking_id)
        return PlainTextResponse(tracking_id)

    return app


async def test_the_three_endpoints_and_the_job_have_one_id_each(logger, tmp_path, client_of):
    app = make_app(logger)
    async with app.router.lifespan_context(app), client_of(app) as client:
        responses = {path: await client.get(path) for path in ("/plain", "/depends", "/later")}

    for response in responses.values():
        assert response.text == response.headers["X-Tracking-ID"]
    lines = [json.loads(line) for line in (tmp_path / "logs" / "origin.log").read_text("utf-8").splitlines()]
    lines = [line for line in lines if line["name"] == "origin"]
    depends, later = responses["/depends"].text, responses["/later"].text
    assert [(line["tracking_id"], line["func"], line["message"]) for line in lines] == [
        (depends, "depends", f"in the endpoint: {depends}"),
        (depends, "query", f"in the query: {depends}"),
        (later, "job", "in the job"),
    ]
    for line in lines:
        assert list(line) == KEYS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", line["@timestamp"])
        assert (line["level"], line["processName"]) == ("INFO", "MainProcess")
        assert re.fullmatch(r"test_origin\.py:\d+", line["loc"])


async def test_what_the_origin_ignored_is_honoured(logger, client_of):
    async with client_of(make_app(logger)) as client:
        assert (await client.get("/plain", headers={"X-Request-ID": "from-the-caller"})).text == "from-the-caller"


@pytest.mark.parametrize(
    "wrong",
    [
        {"enable_console": False, "enable_file": False},
        {"level": 15},
        {"level": "INFO"},
        {"rotate_days": 0},
        {"rotate_days": "7"},
        {"rotate_days": True},
    ],
)
def test_wrong_settings_raise_value_error(wrong, tmp_path):
    with pytest.raises(ValueError, match=r"expected"):
        setup_logger("wrong", log_dir=str(tmp_path), **wrong)


def test_a_directory_that_cannot_be_made_raises_runtime_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RuntimeError, match="the directory cannot be made"):
        setup_logger("nowhere", log_dir=str(tmp_path / "file" / "logs"))


def test_the_singleton_is_one_logger_and_touches_no_disk_before_its_first_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = trackline.logger, trackline.logger
    try:
        assert first is second is logging.getLogger("app")
        assert list(tmp_path.iterdir()) == []
    finally:
        logs_setup._loggers.pop("app", None)
        first.handlers.clear()
        first.filters.clear()
        first.propagate = True
        first.setLevel(logging.NOTSET)
