-- Sends what is in a file, in random order, and ends with a line of JSON. The file: requests as they go over the wire,
-- a NUL behind each.
local requests = {}

function init(arguments)
  math.randomseed(os.time())
  for request in io.open(arguments[1], 'rb'):read('*a'):gmatch('[^%z]+') do
    requests[#requests + 1] = request
  end
end

function request()
  return requests[math.random(#requests)]
end

-- wrk counts a status of 400 and over as an error
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
