"""The Lua scripts that make writes conditional on the fence, at the destination itself.

A check before sending is no fence: a worker paused right after it would write old values later. A script is run by
Redis as one step, so comparing and writing cannot be torn apart. `CHUNK` declares no keys, because its rows live in
many slots: Redis 7 and Valkey allow that for scripts without a shebang, on a node that owns all the keys.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Script:
    """A Lua script and the digest by which a server knows it."""

    text: str

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


# A chunk's ARGV: fence key, partition, claim, field, count of rows to write, then their keys and values, then keys to
# delete.
# → {'missing'} | {'moved'} | {'fault', code} (chunk not done) | {'done', written, deleted, absent, position, code, …}
# A fault's code is all that is returned of an error: its text may hold data.
_CHUNK = """
local function code(message)
  if string.find(message, 'non local key', 1, true) then return 'NONLOCAL' end
  if string.find(message, 'cluster is down', 1, true) then return 'CLUSTERDOWN' end
  if string.find(message, 'exceeds maximum allowed', 1, true) then return 'TOOLARGE' end
  if string.find(message, 'user executing the script', 1, true) then return 'NOPERM' end  -- Redis
  if string.find(message, 'ACL failure', 1, true) then return 'NOPERM' end  -- Valkey
  if string.find(message, 'wrong Redis type', 1, true) then return 'WRONGTYPE' end  -- RedisJSON before 2.4
  return string.match(message, '^%-?(%u+)') or 'ERR'
end
local fence = redis.pcall('HGET', ARGV[1], ARGV[2])
if type(fence) == 'table' then return {'fault', code(fence.err)} end
if not fence then return {'missing'} end
if fence ~= ARGV[3] then return {'moved'} end
local field, writes = ARGV[4], tonumber(ARGV[5])
local written, deleted, absent, position = 0, 0, 0, 0
local result = {'done', 0, 0, 0}
local function failed(reply)
  if type(reply) ~= 'table' then return false end
  result[#result + 1] = position
  result[#result + 1] = code(reply.err)
  return true
end
local function fatal()
  local last = result[#result]
  return last ~= 'WRONGTYPE' and last ~= 'TOOLARGE' and last ~= 'UNENCODABLE'
end
%(functions)sfor i = 6, 4 + 2 * writes, 2 do
  local reply = %(write)s
  if not failed(reply) then written = written + 1
  elseif fatal() then return {'fault', result[#result]} end
  position = position + 1
end
for i = 6 + 2 * writes, #ARGV do
  local reply = %(remove)s
  if failed(reply) then
    if fatal() then return {'fault', result[#result]} end
  else
    deleted = deleted + 1
    if reply == 0 then absent = absent + 1 end
  end
  position = position + 1
end
result[2], result[3], result[4] = written, deleted, absent
return result
"""

# The same over RedisJSON documents; the field is the member's JSONPath. A member is set whole, and a document that
# is empty after a member was removed goes. What the module cannot take of a document that can be written otherwise
# (a number too large for it, too deep a nesting) is a fault of that row.
_DOCUMENTS = """
local function holds_object(key) return type(redis.pcall('JSON.OBJLEN', key)) == 'number' end
local function set(key, value)
  local made = redis.pcall('JSON.SET', key, '$', '{}', 'NX')
  if type(made) == 'table' and made.err then return made end
  local reply = redis.pcall('JSON.SET', key, field, value)
  if type(reply) == 'table' and reply.ok then return 0 end
  if made then redis.pcall('DEL', key)
  elseif not holds_object(key) then return {err = 'WRONGTYPE'} end
  local why = reply and code(reply.err) or 'ERR'
  if why == 'SYNTAXERR' or why == 'LIMIT' or why == 'ERR' or why == 'ERROR' then return {err = 'UNENCODABLE'} end
  return reply
end
local function remove(key)
  local reply = redis.pcall('JSON.DEL', key, field)
  if type(reply) == 'table' then
    if string.find(reply.err, 'OOM', 1, true) or holds_object(key) then return reply end
    return {err = code(reply.err) == 'ERROR' and 'WRONGTYPE' or reply.err}
  end
  if reply > 0 and redis.pcall('JSON.OBJLEN', key) == 0 then redis.pcall('DEL', key) end
  return reply
end
"""


def _with(script: str, **parts: str) -> Script:
    for name, text in parts.items():
        script = script.replace(f"%({name})s", text)
    return Script(script)


CHUNK = _with(
    _CHUNK,
    functions="",
    write="redis.pcall('HSET', ARGV[i], field, ARGV[i + 1])",
    remove="redis.pcall('HDEL', ARGV[i], field)",
)
CHUNK_OF_DOCUMENTS = _with(
    _CHUNK, functions=_DOCUMENTS.lstrip(), write="set(ARGV[i], ARGV[i + 1])", remove="remove(ARGV[i])"
)

# KEYS: fence, witness. ARGV: partition, claim. → 1, 0 when somebody else has the partition, -1 without a fence.
WITNESS = Script("""
local fence = redis.call('HGET', KEYS[1], ARGV[1])
if not fence then return -1 end
if fence ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
""")

# KEYS: fence, run, witness, marker. ARGV: run, run attempt, count of partitions, first partition attempt, then what was
# in the run's key and in the marker while the attempt was known to be the present one, or nothing. → 1, 0 when somebody
# else has begun or finished since, -1 when what was there is gone. The same attempt again changes nothing: its
# partitions may have moved on.
BEGIN = Script("""
local started = ARGV[1] .. ':' .. ARGV[2]
local current = redis.call('GET', KEYS[2]) or ''
local run, attempt = string.match(current, '^(.*):(%d+)$')
if run == ARGV[1] and tonumber(attempt) > tonumber(ARGV[2]) then return 0 end
if current == started and redis.call('HLEN', KEYS[1]) == tonumber(ARGV[3]) then return 1 end
local marker = redis.call('GET', KEYS[4]) or ''
if current ~= ARGV[5] or marker ~= ARGV[6] then return current == '' and marker == '' and -1 or 0 end
redis.call('DEL', KEYS[1], KEYS[3])
for partition = 0, tonumber(ARGV[3]) - 1 do
  redis.call('HSET', KEYS[1], partition, started .. ':' .. ARGV[4])
end
redis.call('SET', KEYS[2], started)
return 1
""")

# KEYS: fence. ARGV: partition, run, run attempt, partition attempt, 1 to reopen. → 1 when the fence stands there now, 0
# when it stands elsewhere or further, -1 when there is none. It never moves back, and a closed one only to a later
# attempt than it was closed at: a worker of that attempt may still be about.
MOVE = Script("""
local current = redis.call('HGET', KEYS[1], ARGV[1])
if not current then return -1 end
local fence = string.gsub(current, ':closed$', '')
local closed = fence ~= current
local run, run_attempt, attempt = string.match(fence, '^(.*):(%d+):(%d+)$')
if run ~= ARGV[2] or run_attempt ~= ARGV[3] then return 0 end
if closed and (ARGV[5] ~= '1' or tonumber(attempt) >= tonumber(ARGV[4])) then return 0 end
if tonumber(attempt) > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], run .. ':' .. run_attempt .. ':' .. ARGV[4])
return 1
""")

# KEYS: fence. ARGV: run, run attempt, count of partitions. Nobody writes behind a closed fence; it keeps the attempt
# that it was closed at. Closing again changes nothing.
CLOSE = Script("""
local started = ARGV[1] .. ':' .. ARGV[2] .. ':'
for partition = 0, tonumber(ARGV[3]) - 1 do
  local current = redis.call('HGET', KEYS[1], partition)
  if current and string.sub(current, 1, #started) == started and string.match(current, ':%d+$') then
    redis.call('HSET', KEYS[1], partition, current .. ':closed')
  end
end
return 1
""")

# KEYS: run, marker, witness. ARGV: run, the run it builds upon or nothing, then pairs: a witness and the ranges of
# partitions that must have it. → {'marked'}; {'lost'} without the run's key or the right marker: data was lost;
# {'unproved', partition, …} where witnesses are missing. Only the first has marked anything.
MARK = Script("""
local current = redis.call('GET', KEYS[1])
if not current or string.match(current, '^(.*):%d+$') ~= ARGV[1] then return {'lost'} end
if ARGV[2] ~= '' then
  local marker = redis.call('GET', KEYS[2])
  if marker ~= ARGV[2] and marker ~= ARGV[1] then return {'lost'} end
end
local result = {'unproved'}
for i = 3, #ARGV, 2 do
  for first, last in string.gmatch(ARGV[i + 1], '(%d+)-(%d+)') do
    for partition = tonumber(first), tonumber(last) do
      if redis.call('HGET', KEYS[3], partition) ~= ARGV[i] then result[#result + 1] = partition end
    end
  end
end
if #result > 1 then return result end
redis.call('SET', KEYS[2], ARGV[1])
return {'marked'}
""")

# KEYS: run, and others to go with it. ARGV: run. Removes them unless they are another run's by now.
FINISH = Script("""
local current = redis.call('GET', KEYS[1])
if current and string.match(current, '^(.*):%d+$') == ARGV[1] then redis.call('DEL', unpack(KEYS)) end
return 1
""")
