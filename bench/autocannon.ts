/** For where there is no wrk: `bun bench/autocannon.ts <url> <file> <connections> <seconds>` prints what `wrk.lua` does. */
import autocannon, { type Request } from 'autocannon'

const [url = '', file = '', connections, seconds] = process.argv.slice(2)
const targets: Request[] = await Bun.file(file).json()

const result = await autocannon({
  url,
  connections: Number(connections),
  duration: Number(seconds),
  // each connection begins elsewhere, for all walk through the requests in their order
  setupClient(client) {
    const start = Math.floor(Math.random() * targets.length)
    client.setRequests([...targets.slice(start), ...targets.slice(0, start)])
  },
})
const failed = result.errors + result['4xx'] + result['5xx']
const measured = {
  requests: result.requests.total,
  seconds: result.duration,
  p50: result.latency.p50,
  p99: result.latency.p99,
  failed,
}
process.stdout.write(`${JSON.stringify(measured)}\n`)
