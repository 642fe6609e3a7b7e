#!lua name=cartwright_@VERSION@

-- Each call works on one partition: all its keys carry the same hash tag, and all are declared, so that a call made while
-- their slot moves to another server is redirected as a whole or told to come again, and never sees half of them.
--
-- Numbers that may be large (versions, times) are compared as what they are written as, or as doubles where they are
-- below 2^53: microseconds are, until the year 2255.

local HOUR = 3600000000
-- Bytes of a cart's or session's history of writes: eight entries of a version (8) and the name of a write (8).
local HISTORY = 128
-- How long what was deleted is remembered: longer than anybody tries one call again.
local TOMBSTONE_MS = 60000

-- A change of one partition, as the adapter writes it (`part.rs`), from keys[k] and args[a] on.
local function parse(keys, args, k, a)
  local change = { now = tonumber(args[a]), mark = args[a + 1], events = keys[k], sealed = keys[k + 1], outgoing = {}, ops = {}, args = args }
  for n = 1, tonumber(args[a + 2]) do
    change.outgoing[n] = args[a + 2 + n]
  end
  a = a + 3 + #change.outgoing
  k = k + 2
  while a <= #args do
    local op = { kind = args[a], key = keys[k] }
    if op.kind == 'A' then
      op.value, op.ttl = args[a + 1], args[a + 2]
      k, a = k + 1, a + 3
    else
      op.index, op.member, op.expected, op.entry = keys[k + 1], args[a + 1], args[a + 2], args[a + 3]
      k, a = k + 2, a + 4
      if op.kind == 'P' then
        op.version, op.base, op.expires, op.ttl = args[a], args[a + 1], args[a + 2], args[a + 3]
        if args[a + 4] == '1' then
          op.owner = keys[k]
          k = k + 1
        end
        if args[a + 5] == '1' then
          op.other = keys[k]
          k = k + 1
        end
        local set = tonumber(args[a + 6])
        op.first, op.last = a + 7, a + 6 + set
        a = op.last + 1
        local gone = tonumber(args[a])
        op.gone_first, op.gone_last = a + 1, a + gone
        a = op.gone_last + 1
      end
    end
    change.ops[#change.ops + 1] = op
  end
  return change
end

-- Whose intention lies on something that the change touches, if anybody's does.
local function sealed(change)
  if redis.call('EXISTS', change.sealed) == 0 then
    return nil
  end
  for _, op in ipairs(change.ops) do
    for _, key in ipairs({ op.key, op.owner }) do
      local by = redis.call('HGET', change.sealed, key)
      if by then
        return { 'sealed', by }
      end
    end
  end
  return nil
end

local function conflict(n, op)
  return { 'conflict', n, redis.call('HGETALL', op.key) }
end

-- Why a new cart's owner cannot have it, if so.
local function taken(change, op)
  local other = redis.call('GET', op.owner)
  if not other or other == op.member then
    return nil
  end
  for _, gone in ipairs(change.ops) do
    if gone.kind == 'D' and gone.member == other then
      return nil
    end
  end
  local key = string.sub(op.key, 1, -#op.member - 1) .. other
  local had = redis.call('HMGET', key, 'x', 'o')
  if had[1] then
    if had[2] == op.owner and change.now < tonumber(had[1]) then
      return { 'owner', other }
    end
  elseif op.other ~= key then
    -- Not here, or moved to another server a moment ago: only a call that declares it can tell.
    return { 'other', other }
  end
  return nil
end

-- Reads what was written, so that the writer is told when others change it: its own write ended that.
local function watch(op)
  redis.call('HGET', op.key, 'v')
end

-- nil when the change holds; true when it has been made already, by an earlier try of the same call; else what it comes to.
local function check(change)
  for _, op in ipairs(change.ops) do
    if op.kind ~= 'A' then
      local had = redis.call('HMGET', op.key, 'v', 'x', 'w')
      op.had_version, op.had_expires, op.history = had[1], had[2], had[3] or ''
      if string.find(op.history, change.mark, 1, true) then
        -- Written again as it is, so that whoever waits for replicas waits for this.
        redis.call('HSET', op.key, 'w', op.history)
        watch(op)
        return true
      end
    end
  end
  local by = sealed(change)
  if by then
    return by
  end
  for n, op in ipairs(change.ops) do
    if op.kind == 'A' then
      local first = redis.call('GET', op.key)
      if first then
        return { 'answered', n, first }
      end
    end
  end
  for n, op in ipairs(change.ops) do
    if op.kind == 'P' and op.expected == '0' then
      if op.had_version and change.now < tonumber(op.had_expires) then
        return conflict(n, op)
      end
      local other = op.owner and taken(change, op)
      if other then
        return other
      end
    elseif op.kind ~= 'A' then
      if not op.had_version or (op.expected ~= '*' and op.had_version ~= op.expected) then
        return conflict(n, op)
      end
      if op.kind == 'P' and op.base ~= '' and string.sub(op.history, 9, 16) ~= op.base then
        return { 'base' }
      end
    end
  end
  return nil
end

local function put(op, args)
  local whole = op.base == ''
  if whole then
    redis.call('DEL', op.key)
  elseif op.gone_first <= op.gone_last then
    redis.call('HDEL', op.key, unpack(args, op.gone_first, op.gone_last))
  end
  local history = string.sub(op.entry .. op.history, 1, HISTORY)
  redis.call('HSET', op.key, 'v', op.version, 'x', op.expires, 'w', history, unpack(args, op.first, op.last))
  -- What goes by the time of expiry is moved when its hour changes, so that most changes leave it alone: an index tells
  -- when something expires at the earliest, never too late.
  local now, had = tonumber(op.expires), tonumber(op.had_expires)
  if whole or now < had or math.floor(now / HOUR) ~= math.floor(had / HOUR) then
    redis.call('PEXPIRE', op.key, op.ttl)
    redis.call('ZADD', op.index, op.expires, op.member)
    if op.owner then
      redis.call('SET', op.owner, op.member, 'PX', op.ttl)
    end
  end
end

local function delete(op)
  local owner = redis.call('HGET', op.key, 'o')
  -- Only tidying: nobody believes a pointer without looking at what it points to.
  if owner and redis.call('GET', owner) == op.member then
    redis.call('DEL', owner)
  end
  redis.call('DEL', op.key)
  redis.call('HSET', op.key, 'w', string.sub(op.entry .. op.history, 1, HISTORY))
  redis.call('PEXPIRE', op.key, TOMBSTONE_MS)
  redis.call('ZREM', op.index, op.member)
end

local function apply(change)
  for _, op in ipairs(change.ops) do
    if op.kind == 'A' then
      redis.call('SET', op.key, op.value, 'PX', op.ttl, 'NX')
    elseif op.kind == 'P' then
      put(op, change.args)
      watch(op)
    else
      delete(op)
    end
  end
  for _, event in ipairs(change.outgoing) do
    redis.call('XADD', change.events, '*', 'e', event)
  end
end

-- keys, args: a change.
local function save(keys, args)
  local change = parse(keys, args, 1, 1)
  local refused = check(change)
  if refused == nil then
    apply(change)
  elseif refused ~= true then
    return refused
  end
  return 'done'
end

local function milliseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- keys: decisions, then a change; args: transaction, the other partitions, then a change.
-- The record "open" comes first: a transaction without a record is one that was given up.
local function begin(keys, args)
  local refused = check(parse(keys, args, 2, 3))
  if refused == true then
    return 'done'
  elseif refused then
    return refused
  end
  redis.call('HSETNX', keys[1], args[1], string.format('open %.0f %s', milliseconds(), args[2]))
  return 'open'
end

local function each_sealed(change, act)
  for _, op in ipairs(change.ops) do
    act(op.key, op)
    if op.owner then
      act(op.owner, nil)
    end
  end
end

-- keys: prepared, then a change; args: transaction, seal, the intention as it is kept, then a change.
local function prepare(keys, args)
  if redis.call('HEXISTS', keys[1], args[1]) == 1 then
    return 'sealed'
  end
  local change = parse(keys, args, 2, 4)
  local refused = check(change)
  if refused == true then
    return 'sealed'
  elseif refused then
    return refused
  end
  redis.call('HSET', keys[1], args[1], args[3])
  each_sealed(change, function(key, op)
    redis.call('HSET', change.sealed, key, args[2])
    -- For readers, who look at nothing else.
    if op and op.had_version then
      redis.call('HSET', key, 's', '1')
    end
  end)
  return 'sealed'
end

-- keys: decisions, then a change; args: transaction, then a change.
local function commit(keys, args)
  local record = redis.call('HGET', keys[1], args[1])
  if record and string.sub(record, 1, 9) == 'committed' then
    return 'done'
  end
  local change = parse(keys, args, 2, 2)
  local refused = check(change)
  if refused == true then
    return 'done'
  elseif not record then
    return 'aborted'
  elseif refused then
    redis.call('HDEL', keys[1], args[1])
    return refused
  end
  apply(change)
  redis.call('HSET', keys[1], args[1], (string.gsub(record, '^open', 'committed')))
  return 'done'
end

-- keys: decisions; args: transaction, how long one may stay open in milliseconds.
local function resolve(keys, args)
  local record = redis.call('HGET', keys[1], args[1])
  if not record then
    return 'aborted'
  elseif string.sub(record, 1, 9) == 'committed' then
    return 'committed'
  elseif milliseconds() - tonumber(string.match(record, '^open (%d+)')) < tonumber(args[2]) then
    return 'open'
  end
  redis.call('HDEL', keys[1], args[1])
  return 'aborted'
end

-- keys: prepared, then a change; args: transaction, "committed" or "aborted", then a change.
local function finish(keys, args)
  if redis.call('HEXISTS', keys[1], args[1]) == 0 then
    return 'done'
  end
  local change = parse(keys, args, 2, 3)
  each_sealed(change, function(key, op)
    redis.call('HDEL', change.sealed, key)
    if op and op.kind ~= 'A' then
      redis.call('HDEL', key, 's')
      local had = redis.call('HMGET', key, 'x', 'w')
      op.had_expires, op.history = had[1] or '0', had[2] or ''
    end
  end)
  if args[2] == 'committed' then
    apply(change)
  end
  redis.call('HDEL', keys[1], args[1])
  return 'done'
end

-- keys: the pointer of an owner; args: what the key of a cart starts with.
local function of_owner(keys, args)
  local id = redis.call('GET', keys[1])
  if not id then
    return false
  end
  local had = redis.call('HMGET', args[1] .. id, 'x', 'o')
  return { id, had[1] or '', had[2] or '' }
end

local function register(name, callback, flags)
  redis.register_function{ function_name = 'cw_' .. name .. '_@VERSION@', callback = callback, flags = flags }
end

register('save', save, {})
-- The same, for what makes room: it must work when there is none.
register('shrink', save, { 'allow-oom' })
register('begin', begin, {})
register('prepare', prepare, {})
register('commit', commit, {})
register('resolve', resolve, { 'allow-oom' })
register('finish', finish, { 'allow-oom' })
register('of_owner', of_owner, { 'no-writes' })
