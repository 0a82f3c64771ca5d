"""Servers with JSON commands: a fake before a real Valkey, and a real module where one is at hand.

The embedded Valkey has no JSON module. The fake is a proxy that plays the commands which the engine uses, in its own
scripts too: scripts that name them get a Lua preamble that stands in for `redis.pcall`. A document is kept as a string
that no profile looks like. `JSON_MODULE=<path of valkey-json or RedisJSON> make test` runs the same tests against
the real module; the fake was written after what valkey-json answers.
"""

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import hiredis

from config.embedded import EmbeddedServer

MODULE = os.environ.get("JSON_MODULE", "")
KINDS = ("fake", "module") if MODULE else ("fake",)

_PREAMBLE = """
local real = redis
local TAG = '\\1document:'
local function json(command, key, ...)
  local args = {...}
  local kind = real.pcall('TYPE', key)
  if kind.err then return kind end
  local text = kind.ok == 'string' and real.pcall('GET', key) or nil
  if kind.ok ~= 'none' and (kind.ok ~= 'string' or string.sub(text, 1, #TAG) ~= TAG) then
    return {err = 'WRONGTYPE Not a JSON document key'}
  end
  local document = text and cmsgpack.unpack(string.sub(text, #TAG + 1)) or nil
  local function store()
    local reply = real.pcall('SET', key, TAG .. cmsgpack.pack(document))
    return reply.err and reply or {ok = 'OK'}
  end
  local function place(path)
    local name = cjson.decode('[' .. string.sub(path, 3, -2) .. ']')[1]
    for at, member in ipairs(document.members) do
      if member[1] == name then return at, name end
    end
    return #document.members + 1, name
  end
  if command == 'JSON.GET' then
    if not document then return false end
    if document.raw then return document.raw end
    local parts = {}
    for at, member in ipairs(document.members) do parts[at] = cjson.encode(member[1]) .. ':' .. member[2] end
    return '{' .. table.concat(parts, ',') .. '}'
  elseif command == 'JSON.OBJLEN' then
    if not document then return false end
    if document.raw then return {err = 'WRONGTYPE JSON element is not an object'} end
    return #document.members
  elseif command == 'JSON.OBJKEYS' then
    if not document then return false end
    if document.raw then return {err = 'WRONGTYPE JSON element is not an object'} end
    local names = {}
    for at, member in ipairs(document.members) do names[at] = member[1] end
    return names
  elseif command == 'JSON.SET' then
    if not pcall(cjson.decode, '[' .. args[2] .. ']') then return {err = 'SYNTAXERR Failed to parse JSON string'} end
    if args[1] == '$' then
      if args[3] == 'NX' and document then return false end
      local name, value = string.match(args[2], '^{("[^"]*"):(.*)}$')
      document = args[2] == '{}' and {members = {}} or {raw = args[2]}
      if name then document = {members = {{cjson.decode('[' .. name .. ']')[1], value}}} end
      return store()
    end
    if not document then return {err = "SYNTAXERR A new Valkey key's path must be root"} end
    if document.raw then return {err = 'ERROR Cannot insert a member into a non-object value'} end
    local at, name = place(args[1])
    document.members[at] = {name, args[2]}
    return store()
  elseif command == 'JSON.DEL' then
    if not document then return 0 end
    if document.raw then return {err = 'ERROR Cannot insert a member into a non-object value'} end
    local at = place(args[1])
    if not document.members[at] then return 0 end
    table.remove(document.members, at)
    local reply = store()
    return reply.err and reply or 1
  end
  return {err = 'ERR unknown command'}
end
local redis = setmetatable({pcall = function(command, key, ...)
  if string.sub(command, 1, 5) == 'JSON.' then return json(command, key, ...) end
  return real.pcall(command, key, ...)
end}, {__index = real})
"""
_COMMAND = _PREAMBLE + "return redis.pcall(unpack(ARGV))"


class JsonProxy:
    """A server on 127.0.0.1 that is the one behind it, and has JSON commands besides; a context manager."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._scripts: dict[bytes, bytes] = {}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> "JsonProxy":
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._open:
            sock.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]  # a callable
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                behind = socket.create_connection(("127.0.0.1", self._server.port))
                self._open += (client, behind)
                self._start(self._requests, client, behind)
                self._start(self._replies, behind, client)

    def _requests(self, client: socket.socket, behind: socket.socket) -> None:
        reader = hiredis.Reader()
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    behind.sendall(hiredis.pack_command(tuple(self._rewritten(command))))  # type: ignore[arg-type]  # any length
            behind.shutdown(socket.SHUT_WR)

    @staticmethod
    def _replies(behind: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := behind.recv(1 << 16):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _rewritten(self, command: list[bytes]) -> list[bytes]:
        name = command[0].upper()
        if name.startswith(b"JSON."):
            return [b"EVAL", _COMMAND.encode(), b"0", name, *command[1:]]
        if name == b"EVAL" and b"JSON." in command[1]:
            return [name, _PREAMBLE.encode() + command[1], *command[2:]]
        if name == b"SCRIPT" and command[1].upper() == b"LOAD" and b"JSON." in command[2]:
            text = _PREAMBLE.encode() + command[2]
            self._scripts[_sha(command[2])] = _sha(text)
            return [*command[:2], text]
        if name == b"EVALSHA":
            return [name, self._scripts.get(command[1], command[1]), *command[2:]]
        return command


def _sha(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


@contextlib.contextmanager
def json_server(kind: str, folder: Path) -> Iterator[tuple[str, EmbeddedServer]]:
    """Start a server with JSON commands; yields the address by which it has them, and the server itself."""
    options = (f"loadmodule {MODULE}",) if kind == "module" else ()
    with EmbeddedServer(folder, options=options) as server:
        if kind == "module":
            yield server.address, server
            return
        with JsonProxy(server) as proxy:
            yield proxy.address, server
