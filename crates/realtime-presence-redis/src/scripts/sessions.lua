-- Answers, for each session whose lease has not ended: the session, the end of its lease in ms or
-- "inf", and its record or nil. Writes nothing.
local live = redis.call(
    'ZRANGEBYSCORE', leases, string.format('%.0f', now), '+inf', 'WITHSCORES')
local answer = {}
local function add(first, last)
    local sessions = {}
    for i = first, last, 2 do sessions[#sessions + 1] = live[i] end
    local found = redis.call('HMGET', records, unpack(sessions))
    for n, record in ipairs(found) do
        local i = first + 2 * (n - 1)
        answer[#answer + 1] = live[i]
        answer[#answer + 1] = live[i + 1]
        answer[#answer + 1] = record
    end
end
-- In pieces, since a call takes only so many arguments.
for first = 1, #live, 2000 do add(first, math.min(first + 1999, #live)) end
return answer
