-- ARGV: nothing for the first page. For another one the end of the last lease of the page before, and
-- some of that page's last sessions, the last one first.
-- Answers where the next page begins, in the form of ARGV, which is empty after the last one; and for
-- each session on the page whose lease has not ended: the session, the end of its lease in ms or
-- "inf", and its record or nil. Writes nothing.
--
-- Pages are in the order of the ends, and of the sessions where these are the same. A lease that is
-- renewed moves towards the end, where it is met again: no session is passed over.
local PAGE, MARKS = 500, 8

local first
for i = 2, #ARGV do
    -- One of them is still where it was, unless all were renewed or removed meanwhile.
    local ends = redis.call('ZSCORE', leases, ARGV[i])
    if ends and tonumber(ends) <= tonumber(ARGV[1]) then
        first = redis.call('ZRANK', leases, ARGV[i]) + 1
        break
    end
end
if not first then
    local from = ARGV[1] or string.format('%.0f', now)
    first = redis.call('ZCOUNT', leases, '-inf', '(' .. from)
end
local page = redis.call('ZRANGE', leases, first, first + PAGE - 1, 'WITHSCORES')
if #page == 0 then return { {}, {} } end

local sessions = {}
for i = 1, #page, 2 do sessions[#sessions + 1] = page[i] end
local found = redis.call('HMGET', records, unpack(sessions))
local answer = {}
for n, session in ipairs(sessions) do
    local ends = page[2 * n]
    if tonumber(ends) >= now then
        answer[#answer + 1] = session
        answer[#answer + 1] = ends
        answer[#answer + 1] = found[n]
    end
end

local next_page = {}
if #sessions == PAGE then
    next_page[1] = page[#page]
    for n = #sessions, #sessions - MARKS + 1, -1 do next_page[#next_page + 1] = sessions[n] end
end
return { next_page, answer }
