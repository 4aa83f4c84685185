-- wrk's part of the benchmark: what bench_load.py sends, from wrk. Called by bench_generators.WrkGenerator as
--   wrk ... -s bench_wrk.lua URL -- REQUESTS_FILE
-- REQUESTS_FILE holds the path, the headers (one a line), an empty line, and one body a line; see
-- bench_generators.wrk_file. Law: all requests are built before the clock starts.

local threads = 0
local requests = {}

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

function init(arguments)
   -- Each thread has its own interpreter: without this all would draw the same items.
   math.randomseed(number)
   local file = assert(io.open(arguments[1], "rb"))
   local path = file:read("*l")
   for line in file:lines() do
      if line == "" then break end
      local name, value = line:match("^([^:]+): (.*)$")
      wrk.headers[name] = value
   end
   for body in file:lines() do
      requests[#requests + 1] = wrk.format("POST", path, wrk.headers, body)
   end
   file:close()
end

function request()
   return requests[math.random(#requests)]
end

-- Microseconds; one line of JSON, the last of the output.
function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "status_errors": %d, "broken": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout))
end
