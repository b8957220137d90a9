"""Two ways to the server that nobody here wrote: the official Python SDK, and npm's Inspector.

Both offer the same three coroutines: call(tool, arguments) -> (result object, resource links),
read(uri) -> (mime type, text), tools() -> names.
"""

import asyncio
import contextlib
import json
import os
import shlex


class ClientFailure(Exception):
    """The client or the server refused; the text says what was asked and what came back."""


def _links(content):
    """URIs of the resource links among the content blocks (plain dicts)."""
    return [block["uri"] for block in content if block.get("type") == "resource_link"]


def _checked(tool, result):
    """The structured part of a tools/call result given as a plain dict."""
    content = result.get("content") or []
    said = " ".join(block.get("text", "") for block in content if block.get("type") == "text")
    if result.get("isError"):
        raise ClientFailure(f"{tool} answered with an error: {said[:600]}")
    structured = result.get("structuredContent")
    if not isinstance(structured, dict):
        raise ClientFailure(f"{tool} gave no structured object, only: {said[:300]}")
    if not said.strip():
        raise ClientFailure(f"{tool} gave no text for clients without structured content")
    return structured, _links(content)


class SdkClient:
    """PyPI `mcp` 2.x. Validates structured content against each tool's output schema by itself."""

    def __init__(self, client):
        self._client = client

    async def call(self, tool, arguments):
        result = await self._client.call_tool(tool, arguments)
        return _checked(tool, result.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def read(self, uri):
        result = await self._client.read_resource(uri)
        if not result.contents:
            raise ClientFailure(f"{uri} is empty")
        return result.contents[0].mime_type, result.contents[0].text

    async def tools(self):
        return [tool.name for tool in (await self._client.list_tools()).tools]

    def describe(self):
        # A client that pins the newer protocol asks nothing at the start, so it is told no name.
        info = self._client.server_info
        name = f"{info.name} {info.version}" if info else "unnamed"
        return f"{name}, protocol {self._client.protocol_version}"


class InspectorClient:
    """npm's Inspector in --cli mode: a new process, so a new connection, for each request."""

    def __init__(self, inspector, target, era):
        self._command = [*inspector, "--cli", *target, "--protocol-era", era, "--format", "json", "-q"]

    async def _run(self, *arguments):
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), timeout=180)
        # 5: the tool answered with isError; the result is printed all the same.
        if process.returncode not in (0, 5):
            raise ClientFailure(
                f"Inspector {shlex.join(arguments)} ended with {process.returncode}: "
                f"{err.decode(errors='replace')[-600:]}"
            )
        try:
            answer = json.loads(out)
        except ValueError as error:
            raise ClientFailure(f"Inspector printed no JSON ({error}): {out[:300]!r} {err[-300:]!r}") from error
        return answer.get("result", answer)

    async def call(self, tool, arguments):
        return _checked(
            tool,
            await self._run(
                "--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)
            ),
        )

    async def read(self, uri):
        contents = (await self._run("--method", "resources/read", "--uri", uri)).get("contents")
        if not contents:
            raise ClientFailure(f"{uri} is empty")
        return contents[0].get("mimeType"), contents[0].get("text", "")

    async def tools(self):
        return [tool["name"] for tool in (await self._run("--method", "tools/list")).get("tools", [])]

    def describe(self):
        return "through Inspector"


@contextlib.asynccontextmanager
async def sdk(target, era):
    """`target` is a URL, or the command line of a stdio server."""
    from mcp import Client, StdioServerParameters

    if len(target) == 1 and target[0].startswith("http"):
        server = target[0]
    else:
        server = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
    mode = {"legacy": "legacy", "auto": "auto", "modern": "2026-07-28"}[era]
    async with Client(server, mode=mode, read_timeout_seconds=180) as client:
        yield SdkClient(client)


@contextlib.asynccontextmanager
async def inspector(target, era):
    """`INSPECTOR` is the command that starts the Inspector (see inspector.sh)."""
    command = shlex.split(os.environ.get("INSPECTOR", ""))
    if not command:
        raise ClientFailure("set INSPECTOR to the Inspector's command, or use inspector.sh")
    if len(target) == 1 and target[0].startswith("http"):
        target = ["--server-url", target[0], "--transport", "http"]
    else:
        # On the command line the server's options would be taken for Inspector's own.
        with open(os.environ["MCP_CATALOG_PATH"], "w", encoding="utf-8") as file:
            json.dump({"mcpServers": {"agent": {"command": target[0], "args": target[1:]}}}, file)
        target = ["--server", "agent"]
    yield InspectorClient(command, target, era)
