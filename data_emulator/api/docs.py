"""The page ``/docs``: Swagger UI, with all that it needs served from here, for networks without internet.

FastAPI's own page takes its script and style from a content delivery network, and has its start-up code inline.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, FastAPI, Response

_ASSETS: Final = files("fastapi_offline") / "static"
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load. Swagger UI sets styles on its elements; scripts come from here only, and none is inline."""
_CACHED: Final = {"Cache-Control": "private, max-age=3600"}


def install(app: FastAPI) -> None:
    """Add the page and its assets. Their addresses are relative, so that they work behind a proxy's prefix."""
    router = APIRouter(include_in_schema=False)
    script, style = ((_ASSETS / name).read_bytes() for name in ("swagger-ui-bundle.js", "swagger-ui.css"))

    @router.get("/docs")
    async def page() -> Response:
        return Response(
            _PAGE.format(title=app.title), media_type="text/html", headers={"Content-Security-Policy": _POLICY}
        )

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_CACHED)

    @router.get("/docs/swagger-ui-bundle.js")
    async def swagger_script() -> Response:
        return Response(script, media_type="text/javascript", headers=_CACHED)

    @router.get("/docs/swagger-ui.css")
    async def swagger_style() -> Response:
        return Response(style, media_type="text/css", headers=_CACHED)

    app.include_router(router)
