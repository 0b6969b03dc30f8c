"""Who places next, as Redis runs it in one step. Times are the server's, in microseconds.

Within a side the line is fair by owner (start-time fair queueing: an owner's k-th order in line
stands k rounds behind the one that is served), https://doi.org/10.1145/248157.248171.
Between the sides three sells go before one buy: who redeems waits for money.
"""

from clients.flag_scripts import CLOCK

SELLS_PER_BUY = 3

# KEYS: slots by member, line of sells, line of buys, when each said to be back, facts.
# The lines are scored by round and arrival. Facts: side, round and owner of each member (m:), an
# owner's newest round (r:) and how many he has in line (n:), the round last served of each side,
# arrivals, and the sells in a row while a buy waited.
_LINE = (
    CLOCK
    + f"""
local ROUND, RATIO = 4294967296, {SELLS_PER_BUY}
local slots, back, facts = KEYS[1], KEYS[4], KEYS[5]
local lines = {{ SELL = KEYS[2], BUY = KEYS[3] }}
local function whole(value) return string.format('%.0f', value) end
local function fact(name) return tonumber(redis.call('HGET', facts, name) or '0') end
local function put(name, value) redis.call('HSET', facts, name, whole(value)) end
local function size(side) return redis.call('ZCARD', lines[side]) end
local function leave(member)
  local entered = redis.call('HGET', facts, 'm:' .. member)
  if not entered then return 0 end
  local side, round, owner = string.match(entered, '^(%u+):(%d+):(.*)$')
  local key = side .. ':' .. owner
  redis.call('ZREM', lines[side], member)
  redis.call('ZREM', back, member)
  redis.call('HDEL', facts, 'm:' .. member)
  if redis.call('HINCRBY', facts, 'n:' .. key, -1) <= 0 then
    redis.call('HDEL', facts, 'n:' .. key, 'r:' .. key)
  end
  if size('SELL') + size('BUY') == 0 then redis.call('DEL', facts, back) end
  return tonumber(round)
end
-- How many of the other side are served before the one of this rank on its own.
local function others(side, rank)
  local row = fact('row')
  if side == 'SELL' then return math.min(size('BUY'), math.floor((row + rank) / RATIO)) end
  return math.min(size('SELL'), math.max(0, RATIO * (rank + 1) - row))
end
-- Slots open one after the other, and each a window later once more.
local function opening(nth, taken, limit, window, now)
  local count = #taken / 2
  local within, rounds = nth % limit, math.floor(nth / limit)
  if within < count then
    local first = math.max(0, count - limit)
    return tonumber(taken[2 * (first + within) + 2]) + 1 + window * (rounds + 1)
  end
  return now + window * (rounds + 1)
end
"""
)

# ARGV: member, its slot's member, side, owner, limit, window us, most an owner may have in line,
# grace us, soon us, keep ms.
# Answers {1, 0, 0, 0}: the slot is taken; {0, place, us until its slot, us to be back in}; or
# {-1, how many the owner has in line, 0, 0}.
TAKE_TURN = (
    _LINE
    + """
local member, slot, side, owner = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, window, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local grace, soon, keep = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
if redis.call('ZSCORE', slots, slot) then
  leave(member)
  return {1, 0, 0, 0}
end
local newest = tonumber(redis.call('ZREVRANGE', slots, 0, 0, 'WITHSCORES')[2] or '0')
-- The clock may be set back; slots still follow each other.
local now = math.max(now_us(), newest)
for _, each in ipairs(redis.call('ZRANGEBYSCORE', back, '-inf', whole(now - grace))) do
  if each ~= member then leave(each) end
end
if redis.call('HEXISTS', facts, 'm:' .. member) == 0 then
  local key = side .. ':' .. owner
  local has, round = fact('n:' .. key), fact('served:' .. side)
  if has >= most then return {-1, has, 0, 0} end
  if has > 0 then round = math.max(round, fact('r:' .. key) + 1) end
  local arrival = redis.call('HINCRBY', facts, 'arrivals', 1)
  redis.call('ZADD', lines[side], whole(round * ROUND + arrival), member)
  redis.call('HSET', facts, 'm:' .. member, side .. ':' .. whole(round) .. ':' .. owner)
  redis.call('HINCRBY', facts, 'n:' .. key, 1)
  put('r:' .. key, round)
end
local other = side == 'SELL' and 'BUY' or 'SELL'
local rank = redis.call('ZRANK', lines[side], member)
local crossing = others(side, rank)
local place = rank + crossing
redis.call('ZREMRANGEBYSCORE', slots, '-inf', whole(now - window - 1))
local taken = redis.call('ZRANGE', slots, 0, -1, 'WITHSCORES')
local free = math.max(0, limit - #taken / 2)
-- Those ahead who are away until later leave their slot to whoever is here.
local function here(line, last)
  local found = 0
  for from = 0, last - 1, 64 do
    for _, each in ipairs(redis.call('ZRANGE', line, from, math.min(from + 63, last - 1))) do
      if tonumber(redis.call('ZSCORE', back, each) or '0') <= now + soon then found = found + 1 end
      if found >= free then return found end
    end
  end
  return found
end
local mine = place < free
if free > 0 and not mine then
  mine = here(lines[side], rank) + here(lines[other], crossing) < free
end
if mine then
  local row = 0
  if side == 'SELL' and size('BUY') > 0 then row = math.min(RATIO, fact('row') + 1) end
  put('row', row)
  put('served:' .. side, math.max(leave(member), fact('served:' .. side)))
  if size('SELL') + size('BUY') == 0 then redis.call('DEL', facts) end
  redis.call('ZADD', slots, whole(now), slot)
  redis.call('PEXPIRE', slots, whole(math.ceil(window / 1000) + 1000))
  return {1, 0, 0, 0}
end
local nth = math.max(0, place - free)
local wait = math.max(1, opening(nth, taken, limit, window, now) - now)
-- Exact within the next window; those further back look again on the way, as others may leave.
local away = wait
if nth >= limit then away = math.max(window, math.floor(wait / 2)) end
redis.call('ZADD', back, whole(now + away), member)
for at = 2, 5 do redis.call('PEXPIRE', KEYS[at], keep) end
return {0, place, wait, away}
"""
)

# ARGV: member.
LEAVE_LINE = _LINE + "return leave(ARGV[1])"

# ARGV: member, limit, window us.  Answers {place, us until its slot}; {} when it is not in line.
SHOW_PLACE = (
    _LINE
    + """
local entered = redis.call('HGET', facts, 'm:' .. ARGV[1])
if not entered then return {} end
local limit, window, now = tonumber(ARGV[2]), tonumber(ARGV[3]), now_us()
local side = string.match(entered, '^%u+')
local rank = redis.call('ZRANK', lines[side], ARGV[1])
local place = rank + others(side, rank)
local taken = redis.call('ZRANGEBYSCORE', slots, whole(now - window), '+inf', 'WITHSCORES')
local nth = place - math.max(0, limit - #taken / 2)
if nth < 0 then return {place, 0} end
return {place, math.max(0, opening(nth, taken, limit, window, now) - now)}
"""
)
