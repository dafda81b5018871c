-- Returns the sessions of one identity whose leases have not ended: record and end of the lease
-- in ms or 'inf', again and again. Writes nothing, so a replica can answer.
-- KEYS: leases, records.
local live = redis.call('ZRANGE', KEYS[1], '(' .. now_ms(), '+inf', 'BYSCORE', 'WITHSCORES')
local found = {}
for i = 1, #live, 2 do
  local record = redis.call('HGET', KEYS[2], live[i])
  if record then
    found[#found + 1] = record
    found[#found + 1] = live[i + 1]
  end
end
return found
