/** Stands in for a worker: `bun stand-in-worker.ts <what it does> worker <number> <how many>`. */
import { appendFileSync, readFileSync } from 'node:fs'

const [, , behaviour = '', , number] = process.argv

/** The times of this worker's starts, which the test reads too. */
const file = `${process.env['STARTS']}-${number}`
appendFileSync(file, `${Date.now()}\n`)
const isFirstStart = readFileSync(file, 'utf8').trim().split('\n').length === 1

const behaviours: Record<string, () => void> = {
  ready: () => process.send?.('ready'),
  'ready, and does not end': () => {
    process.on('SIGTERM', () => {})
    process.send?.('ready')
  },
  'fails if it is the second': () => {
    if (number !== '2') return process.send?.('ready')
    process.send?.({ failure: 'HOST is wrong' })
    process.exit(1)
  },
  'ends before it is ready': () => process.exit(3),
  'is ready once': () => {
    process.send?.(isFirstStart ? 'ready' : { failure: 'the port is gone' })
    setTimeout(() => process.exit(4), 20)
  },
}

behaviours[behaviour]?.()
process.on('disconnect', () => process.exit())
// as long as nobody ends it
setInterval(() => {}, 1000)
