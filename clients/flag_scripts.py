"""What Redis runs in one step each. Times are the server's: milliseconds, slots microseconds."""

CLOCK = """
local function now_us()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local function now_ms() return math.floor(now_us() / 1000) end
-- A lease read back from a dump carries another server's run id, and counts for nothing.
-- fakeredis has no INFO, and no dump either.
local function run_id()
  local ok, info = pcall(function() return redis.call('INFO', 'server') end)
  return ok and string.match(info, 'run_id:(%w+)') or 'none'
end
"""

# Which run of the server answers, then seconds and microseconds of its clock.
MOMENT = (
    CLOCK
    + """
local t = redis.call('TIME')
return {run_id(), t[1], t[2]}
"""
)

# KEYS: lease, version, holds.
# ARGV: version, open (0|1), ttl ms, asked at ms or 0, by which run or '', then scope and JSON per
# scope. An answer asked for by another run opens nothing: what was revoked since may be forgotten.
STATE = (
    CLOCK
    + """
local version = tonumber(ARGV[1])
if ARGV[5] ~= '' and ARGV[5] ~= run_id() then return 0 end
if version < tonumber(redis.call('GET', KEYS[2]) or '0') then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 1
end
local left = tonumber(ARGV[3])
if left <= 0 then return 1 end
local asked = tonumber(ARGV[4])
if asked > 0 then left = math.min(left, math.floor(asked + left - now_ms())) end
if left <= 0 then return 0 end
redis.call('SET', KEYS[1], run_id(), 'PX', string.format('%.0f', left))
return 1
"""
)

# KEYS: halt, lease, version, holds, in flight.  ARGV: remark, expires after ms, scopes...
BEGIN = (
    CLOCK
    + """
local halt = redis.call('GET', KEYS[1])
if halt then return {'halted', halt} end
local open = redis.call('GET', KEYS[2]) == run_id()
local answer = {'held'}
for i = 3, #ARGV do
  local holds = redis.call('HGET', KEYS[4], ARGV[i])
  if holds then answer[#answer + 1] = holds end
end
if #answer > 1 then return answer end
if not open then return {'closed'} end
local now = now_ms()
local since, ends = string.format('%.0f', now), now + tonumber(ARGV[2])
local known = redis.call('HGET', KEYS[5], ARGV[1])
if known then
  since = string.match(known, '^(%d+):')
  ends = math.max(ends, tonumber(string.match(known, ':(%d+)$')))
end
redis.call('HSET', KEYS[5], ARGV[1], since .. ':' .. string.format('%.0f', ends))
if redis.call('PTTL', KEYS[5]) < ends - now then
  redis.call('PEXPIRE', KEYS[5], string.format('%.0f', ends - now))
end
return {'begun', since, redis.call('GET', KEYS[3]) or '0'}
"""
)

# KEYS: in flight.  Forgets what has expired; answers remark, since, remark, since...
IN_FLIGHT = (
    CLOCK
    + """
local now, answer = now_ms(), {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local since, ends = string.match(all[i + 1], '^(%d+):(%d+)$')
  if tonumber(ends) < now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = since
  end
end
return answer
"""
)

# KEYS: the slots by member, scored by time.  ARGV: member, limit, window us, gap us.
# Answers 0 when the member has its slot, else the microseconds until one is free.
SLOT = (
    CLOCK
    + """
local member, limit = ARGV[1], tonumber(ARGV[2])
local window, gap = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('ZSCORE', KEYS[1], member) then return 0 end
local newest = tonumber(redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or '0')
-- The clock may be set back; slots still follow each other.
local now = math.max(now_us(), newest)
local old = string.format('%.0f', now - math.max(window, gap) - 1)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', old)
-- Strictly older than the window: a window that includes both its ends holds no more either.
local count = redis.call('ZCOUNT', KEYS[1], string.format('%.0f', now - window), '+inf')
local wait = newest + gap - now
if count >= limit then
  local from = redis.call('ZCARD', KEYS[1]) - limit
  local first = tonumber(redis.call('ZRANGE', KEYS[1], from, from, 'WITHSCORES')[2])
  wait = math.max(wait, first + window + 1 - now)
end
if wait > 0 then return wait end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), member)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((window + gap) / 1000) + 1000))
return 0
"""
)

# KEYS: the slots by member, when the newest was used, whose turn it is.
# ARGV: member, window us, gap us, turn ms (0 = no turn is kept).
# The slot counts from now on, and nobody else uses one until the turn is over. Answers 0, else the
# microseconds until the gap is kept, or to look again.
USE_SLOT = (
    CLOCK
    + """
local window, gap = tonumber(ARGV[2]), tonumber(ARGV[3])
local turn = redis.call('GET', KEYS[3])
if turn and turn ~= ARGV[1] then return math.max(gap, 2000) end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local now = math.max(now_us(), last)
if last + gap > now then return last + gap - now end
if tonumber(ARGV[4]) > 0 then redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4]) end
local kept = string.format('%.0f', math.ceil((window + gap) / 1000) + 1000)
redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', kept)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], kept)
return 0
"""
)

# Whoever has the turn: its call is over, and the gap to the next one begins.
_END_TURN = """
if redis.call('GET', KEYS[3]) == ARGV[1] then
  redis.call('DEL', KEYS[3])
  local kept = redis.call('PTTL', KEYS[2])
  if ARGV[2] == 'called' and kept > 0 then
    local last = math.max(now_us(), tonumber(redis.call('GET', KEYS[2]) or '0'))
    redis.call('SET', KEYS[2], string.format('%.0f', last), 'PX', kept)
  end
end
"""

# KEYS: the slots by member, when the newest was used, whose turn it is.  ARGV: member, "called".
# The slot counts from now on, if it is there; its turn is over.
KEEP_SLOT = (
    CLOCK
    + _END_TURN
    + """
local since = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not since then return 0 end
local now = string.format('%.0f', math.max(tonumber(since), now_us()))
redis.call('ZADD', KEYS[1], now, ARGV[1])
return 1
"""
)

# KEYS: as above.  ARGV: member, "not called".  The slot is free again, and the turn.
DROP_SLOT = (
    CLOCK
    + _END_TURN
    + """
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
)
