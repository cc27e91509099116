"""Calls tools of mcp-panther, which it starts, over its standard input and output.

It runs in the environment of mcp-panther. Its first line of output is the list of tools. Then, for
each line of input with the name of a tool and its arguments, it writes a line with the result.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main() -> None:
    command = str(Path(sys.executable).with_name("mcp-panther"))
    transport = StdioTransport(command, [], env=dict(os.environ))
    async with Client(transport, timeout=120) as client:
        tools = await client.list_tools()
        print(json.dumps([tool.name for tool in tools]), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            name, arguments = json.loads(line)
            result = await client.call_tool(name, arguments, raise_on_error=False)
            texts = [part.text for part in result.content if hasattr(part, "text")]
            answer = {"is_error": result.is_error, "text": "\n".join(texts)}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
