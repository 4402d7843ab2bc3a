"""
The applications that the servers serve: `app` sends a request to the one whose name is the path's first segment.

Paths are ``/{application}/{case}/{what}``. Every line that is logged, and every error that is raised, names its case: so a test knows
which lines belong to its request without looking at the ID that it is there to check.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from fastapi.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute

import trackline

DIRECTORY = Path(os.environ["TEST_DIRECTORY"])
TELEMETRY = os.environ.get("TEST_TELEMETRY")

trackline.setup_logging(
    "web",
    log_dir=DIRECTORY,
    console=False,
    level=os.environ.get("TEST_LEVEL", "INFO"),
    access_log=os.environ.get("TEST_ACCESS_LOG") != "off",
    access_exclude=["/*/health", "/*/health/*"],
)
log = logging.getLogger("app")


class CustomError(Exception):
    """One that the application has a handler for."""


class Seeing:
    """A middleware of the user's, pure ASGI: says which X-Request-ID it sees, and raises where the path says so."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] in ("http", "websocket"):
            case = next((part for part in scope["path"].split("/") if "case-" in part), None)
            seen = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"]
            names = sorted(
                {name.decode() for name, _ in scope["headers"]} & {"traceparent", "tracestate", "baggage", "x-correlation-id"}
            )
            log.info("middleware %s", case, extra={"seen": seen, "trace_headers": names})
            if scope["path"].endswith("/boom-middleware"):
                raise RuntimeError(f"boom middleware {case}")
        await self.app(scope, receive, send)


SEEING = (Middleware(Seeing),)


class Base(BaseHTTPMiddleware):
    """A middleware of the user's of the other kind, with a task of its own inside."""

    async def dispatch(self, request, call_next):
        case = request.url.path.split("/")[2]
        log.info("base before %s", case)
        if request.url.path.endswith("/boom-base"):
            raise RuntimeError(f"boom base {case}")
        response = await call_next(request)
        log.info("base after %s", case)
        return response


POOL = ThreadPoolExecutor(4)


def say_slowly(what: str, case: str) -> None:
    time.sleep(0.001)
    log.info("%s %s", what, case)


async def say_later(what: str, case: str) -> None:
    await asyncio.sleep(0.001)
    log.info("%s %s", what, case)


async def async_dependency(case: str) -> str:
    log.info("async dependency %s", case)
    return case


def sync_dependency(case: str) -> str:
    log.info("sync dependency %s", case)
    return case


async def broken_dependency(case: str):
    raise RuntimeError(f"boom dependency {case}")


async def yielding(case: str):
    log.info("yield before %s", case)
    yield
    log.info("yield after %s", case)


async def yielding_broken(case: str):
    yield
    log.info("yield after %s", case)
    raise RuntimeError(f"boom yield {case}")


def make_router() -> APIRouter:  # noqa: C901  (a list of ways to answer)
    router = APIRouter(prefix="/{case}")

    @router.get("/async")
    @router.head("/async")
    @router.post("/async")
    async def async_endpoint(case: str, request: Request):
        log.info("async endpoint %s", case)
        return {"seen": request.headers.getlist("x-request-id"), "tracking_id": trackline.get_tracking_id()}

    @router.get("/sync")
    def sync_endpoint(case: str):
        log.info("sync endpoint %s", case)
        return {"tracking_id": trackline.get_tracking_id()}

    @router.get("/dependencies", dependencies=[Depends(async_dependency), Depends(sync_dependency)])
    async def dependencies(case: str, tracking_id: Annotated[str, Depends(trackline.get_tracking_id)]):
        log.info("endpoint with dependencies %s", case)
        return {"tracking_id": tracking_id}

    @router.get("/yield", dependencies=[Depends(yielding)])
    async def with_yield(case: str):
        log.info("endpoint with yield %s", case)

    @router.get("/invalid")
    async def invalid(case: str, number: int):
        raise AssertionError(case, number)

    @router.get("/http-exception")
    async def http_exception(case: str):
        raise HTTPException(418, detail=case, headers={"X-Own": "tea"})

    @router.get("/custom")
    async def custom(case: str):
        raise CustomError(case)

    @router.get("/redirect")
    async def redirect(case: str):
        return RedirectResponse("async")

    @router.get("/health")
    async def health(case: str):
        log.info("health %s", case)

    @router.get("/health/broken")
    async def broken_health(case: str):
        raise RuntimeError(f"boom health {case}")

    @router.post("/upload")
    async def upload(case: str, request: Request):
        log.info("upload begins %s", case)
        return {"bytes": len(await request.body())}

    @router.get("/no-content", status_code=204)
    async def no_content(case: str):
        log.info("no content %s", case)

    @router.get("/not-modified")
    async def not_modified(case: str):
        return Response(status_code=304, headers={"ETag": '"1"'})

    @router.get("/own-header")
    async def own_header(case: str):
        response = PlainTextResponse("own")
        response.raw_headers += [(b"X-Request-ID", b"own"), (b"x-request-id", b"own too"), (b"X-Tracking-ID", b"own")]
        return response

    @router.get("/background")
    async def background(case: str, tasks: BackgroundTasks):
        def sync_task():
            log.info("sync task %s", case)

        async def async_task():
            log.info("async task %s", case)

        tasks.add_task(sync_task)
        tasks.add_task(async_task)
        log.info("endpoint with tasks %s", case)

    @router.get("/stream")
    async def stream(case: str):
        async def chunks():
            log.info("stream begins %s", case)
            yield b"one"
            await asyncio.sleep(0.001)
            log.info("stream ends %s", case)
            yield b"two"

        return StreamingResponse(chunks())

    @router.get("/sync-stream")
    async def sync_stream(case: str):
        def chunks():
            log.info("sync stream %s", case)
            yield b"one"

        return StreamingResponse(chunks())

    @router.get("/sse", response_class=EventSourceResponse)
    async def sse(case: str):
        log.info("event %s", case)
        yield {"event": case}

    @router.get("/endless")
    async def endless(case: str):
        async def chunks():
            try:
                for _ in range(500):  # a server that does not say that the client is gone must not keep us for ever
                    yield b"." * 1000
                    await asyncio.sleep(0.005)
            finally:
                log.info("stream left %s", case)

        return StreamingResponse(chunks())

    @router.get("/file")
    async def file(case: str):
        log.info("file %s", case)
        return FileResponse(__file__)

    @router.get("/threads")
    async def threads(case: str):
        log.info("threads endpoint %s", case)
        await asyncio.to_thread(log.info, "to_thread %s", case)

    @router.get("/busy")
    async def busy(case: str, tasks: BackgroundTasks):
        loop = asyncio.get_running_loop()
        log.info("busy endpoint %s", case)
        child = asyncio.create_task(say_later("busy task", case))
        carried = loop.run_in_executor(POOL, trackline.carry(say_slowly), "busy carried", case)
        lost = loop.run_in_executor(POOL, say_slowly, "busy not carried", case)
        await asyncio.to_thread(say_slowly, "busy to_thread", case)
        await asyncio.gather(child, carried, lost)
        tasks.add_task(say_slowly, "busy sync background", case)
        tasks.add_task(say_later, "busy async background", case)
        log.info("busy endpoint ends %s", case)
        return {"pid": os.getpid()}

    @router.get("/boom-async")
    async def boom_async(case: str):
        raise RuntimeError(f"boom async {case}")

    @router.get("/boom-sync")
    def boom_sync(case: str):
        raise RuntimeError(f"boom sync {case}")

    @router.get("/boom-dependency", dependencies=[Depends(broken_dependency)])
    async def boom_dependency(case: str):
        raise AssertionError

    @router.get("/boom-yield", dependencies=[Depends(yielding_broken)])
    async def boom_yield(case: str):
        return None

    @router.get("/boom-background")
    async def boom_background(case: str, tasks: BackgroundTasks):
        async def task():
            raise RuntimeError(f"boom background {case}")

        tasks.add_task(task)

    @router.get("/boom-stream")
    async def boom_stream(case: str):
        async def chunks():
            yield b"one"
            await asyncio.sleep(0.001)
            raise RuntimeError(f"boom stream {case}")

        return StreamingResponse(chunks())

    @router.websocket("/ws/echo")
    async def echo(case: str, websocket: WebSocket):
        await websocket.accept(headers=[(b"x-own", b"1"), (b"x-request-id", b"own")])
        log.info("websocket accepted %s", case)
        try:
            while True:
                text = await websocket.receive_text()
                log.info("websocket message %s", case)
                if text == "close":
                    await websocket.close(1000)
                    break
                await websocket.send_text(text)
        except WebSocketDisconnect:
            log.info("websocket left %s", case)

    @router.websocket("/ws/refuse")
    async def refuse(case: str, websocket: WebSocket):
        log.info("websocket refused %s", case)
        await websocket.close(1008)

    @router.websocket("/ws/deny")
    async def deny(case: str, websocket: WebSocket):
        log.info("websocket denied %s", case)
        await websocket.send_denial_response(JSONResponse({"case": case}, 401))

    @router.websocket("/ws/boom-before")
    async def boom_before(case: str, websocket: WebSocket):
        raise RuntimeError(f"boom before {case}")

    @router.websocket("/ws/boom-after")
    async def boom_after(case: str, websocket: WebSocket):
        await websocket.accept()
        raise RuntimeError(f"boom after {case}")

    return router


async def handle_custom(request: Request, error: CustomError):
    log.info("exception handler %s", error)
    return JSONResponse({"handled": str(error)}, 409)


def handle_any(request: Request, error: Exception):
    log.info("last exception handler %s", request.path_params["case"])
    return JSONResponse({"handled": "any"}, 500)


def make_app(name: str, *, middleware=SEEING, debug=False, install=True, telemetry=None, **options) -> FastAPI:
    """Make a FastAPI application under ``/{name}``, in the usual order: middleware, routes, install."""
    app = FastAPI(debug=debug, middleware=list(middleware), telemetry=telemetry)
    app.add_exception_handler(CustomError, handle_custom)
    app.include_router(make_router(), prefix=f"/{name}")
    if install:
        trackline.install(app, **options)
    return app


def make_main() -> FastAPI:
    cors = Middleware(
        CORSMiddleware,
        allow_origins=["https://shop.example"],
        allow_headers=["X-Request-ID"],
        allow_credentials=True,
        expose_headers=["X-Own"],
    )
    app = make_app("main", middleware=(cors, Middleware(Seeing)))
    plain, installed = FastAPI(), FastAPI()
    for mounted in (plain, installed):
        mounted.include_router(make_router())
    trackline.install(installed)
    app.mount("/main/mounted", plain)
    app.mount("/main/installed", installed)
    return app


def make_handled() -> FastAPI:
    app = make_app("handled")
    app.add_exception_handler(Exception, handle_any)
    return app


def make_starlette(name: str, middleware=SEEING, **options) -> Starlette:
    """Make a plain Starlette application under ``/{name}``."""

    async def hello(request: Request):
        log.info("starlette endpoint %s", request.path_params["case"])
        return PlainTextResponse("hello")

    def boom(request: Request):
        raise RuntimeError(f"boom starlette {request.path_params['case']}")

    async def stream(request: Request):
        async def chunks():
            yield b"one"
            log.info("starlette stream %s", request.path_params["case"])

        return StreamingResponse(chunks())

    async def echo(websocket: WebSocket):
        await websocket.accept()
        log.info("starlette websocket %s", websocket.path_params["case"])
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    prefix = f"/{name}/{{case}}"
    routes = [
        Route(f"{prefix}/async", hello),
        Route(f"{prefix}/boom-sync", boom),
        Route(f"{prefix}/stream", stream),
        WebSocketRoute(f"{prefix}/ws/echo", echo),
    ]
    app = Starlette(routes=routes, middleware=list(middleware))
    trackline.install(app, **options)
    return app


async def bare(scope, receive, send):
    """Be an application of no framework, for TrackingMiddleware alone."""
    case = scope["path"].split("/")[2]
    if scope["path"].endswith("/boom-async"):
        raise RuntimeError(f"boom bare {case}")
    log.info("bare %s", case)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"bare"})


def copying(app):
    """Be somebody outside of the middleware who passes a copy of the scope on."""

    async def copied(scope, receive, send):
        await app({**scope, "headers": list(scope["headers"])}, receive, send)

    return copied


def is_partner(scope) -> bool:
    return any(name == b"x-partner" and value == b"yes" for name, value in scope["headers"])


def make_trusting(name: str, make=make_app, **more) -> dict[str, object]:
    """Make one application for each way to trust: nobody, two networks of which one is the tests', a callable."""
    return {
        f"{name}-nobody": make(f"{name}-nobody", trust="none", **more),
        f"{name}-elsewhere": make(f"{name}-elsewhere", trust=["10.0.0.0/8", "fd00::/8"], **more),
        f"{name}-here": make(f"{name}-here", trust=["127.0.0.0/8"], **more),
        f"{name}-partners": make(f"{name}-partners", trust=is_partner, **more),
    }


APPS: dict[str, object] = {"main": make_main()}


def add_others() -> None:
    APPS["debug"] = make_app("debug", debug=True)
    APPS["handled"] = make_handled()
    APPS["base"] = make_app("base", middleware=(Middleware(Base),))
    APPS["starlette"] = make_starlette("starlette")
    APPS["bare"] = trackline.TrackingMiddleware(bare)
    APPS["untracked"] = make_app("untracked", install=False)
    APPS["copied"] = copying(make_app("copied"))
    APPS.update(make_trusting("main"))


def add_traced() -> None:
    from servers import traced

    APPS.update(traced.make_apps(TELEMETRY))


if TELEMETRY:
    add_traced()
elif os.environ.get("TEST_ALL_APPS"):
    add_others()


async def app(scope, receive, send):
    """Send a request to the application of the path's first segment, and the lifespan to the main one."""
    name = "main" if scope["type"] == "lifespan" else scope["path"].split("/")[1]
    await APPS.get(name, APPS["main"])(scope, receive, send)


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["TEST_PORT"]))
