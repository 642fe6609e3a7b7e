
-- Limits that all nodes share (gcra.rs). All times are microseconds by the server's clock, unless the last argument says what time it is.

local function micros(told)
  if told then return tonumber(told) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function whole(number)
  return string.format('%.0f', number)
end

-- One key, kept until its budget is whole again: when that will be.
-- Arguments: the time in which one comes back, the size of the budget. Answers how many are left, and how long to wait if this one may not.
local function spend(keys, args)
  local share, now = tonumber(args[1]), micros(args[3])
  local size = share * tonumber(args[2])
  local whole_at = math.max(tonumber(redis.call('GET', keys[1]) or now), now) + share
  local debt = whole_at - now
  if debt > size then return { 0, debt - size } end
  redis.call('SET', keys[1], whole(whole_at), 'PXAT', whole(math.ceil(whole_at / 1000)))
  return { math.floor((size - debt) / share), 0 }
end

-- Two keys: what has failed and what is under way, each with when it counts no more.
-- Arguments: ticket, how many may fail, how long the ticket is good. Answers 0: let in; 1: perhaps; 2: no, and for how long not.
local function admit(keys, args)
  local ticket, amount, keep, now = args[1], tonumber(args[2]), tonumber(args[3]), micros(args[4])
  redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', whole(now))
  redis.call('ZREMRANGEBYSCORE', keys[2], '-inf', whole(now))
  local failed = redis.call('ZCARD', keys[1])
  if failed >= amount then
    local first = redis.call('ZRANGE', keys[1], 0, 0, 'WITHSCORES')
    return { 2, first[2] - now }
  end
  if failed + redis.call('ZCARD', keys[2]) >= amount and not redis.call('ZSCORE', keys[2], ticket) then return { 1, 0 } end
  redis.call('ZADD', keys[2], whole(now + keep), ticket)
  redis.call('PEXPIRE', keys[2], whole(math.ceil(keep / 1000)))
  return { 0, 0 }
end

-- The same keys. Arguments: the ticket that is over, what has failed (either may be empty), how long that counts.
local function settle(keys, args)
  local ticket, failed, window, now = args[1], args[2], tonumber(args[3]), micros(args[4])
  if ticket ~= '' then redis.call('ZREM', keys[2], ticket) end
  if failed ~= '' then
    redis.call('ZADD', keys[1], 'NX', whole(now + window), failed)
    redis.call('PEXPIRE', keys[1], whole(math.ceil(window / 1000)))
  end
  return 1
end

register('spend', spend, {})
register('admit', admit, {})
register('settle', settle, {})
