-- In front of every script. Only the server's clock counts: a node's may be an hour off.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Drops some of what has ended, and lets both keys end with the longest lease, so that an
-- identity is online exactly while its key exists.
local function tidy(now)
  local dead = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)
  if #dead > 0 then
    redis.call('ZREM', KEYS[1], unpack(dead))
    redis.call('HDEL', KEYS[2], unpack(dead))
  end
  local longest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
  for _, key in ipairs(KEYS) do
    if longest == 'inf' then
      redis.call('PERSIST', key)
    elseif longest then
      redis.call('PEXPIREAT', key, longest)
    end
  end
end

