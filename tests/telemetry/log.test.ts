import { expect, test } from 'bun:test'
import { createLog, inBatches, lineWriter } from '../../src/telemetry/log'
import { linesTo } from '../support/app'

/** @returns what lines are written to, and what that has written */
function batches() {
  const written: string[] = []
  return { written, output: inBatches({ write: (text: string) => void written.push(text) }) }
}

const line = (length: number) => `${'x'.repeat(length - 1)}\n`

test('lines that follow one another at once are written together, in their order', async () => {
  const { written, output } = batches()
  for (const text of ['one\n', 'two\n', 'three\n']) output.collect(text)
  expect(written).toEqual([])
  while (written.length === 0) await Bun.sleep(1)
  output.collect('four\n')
  while (written.length === 1) await Bun.sleep(1)
  expect(written).toEqual(['one\ntwo\nthree\n', 'four\n'])
})

test('no more is written at once than a pipe takes as a whole', async () => {
  const { written, output } = batches()
  for (let count = 0; count < 100; count++) output.collect(line(300))
  while (written.join('').length < 100 * 300) await Bun.sleep(1)
  expect(Math.max(...written.map(({ length }) => length))).toBe(13 * 300)
})

test('a line that is longer than that is written whole, and alone', async () => {
  const { written, output } = batches()
  for (const length of [10, 10_000, 10]) output.collect(line(length))
  while (written.length < 3) await Bun.sleep(1)
  expect(written.map(({ length }) => length)).toEqual([10, 10_000, 10])
})

test('what is written and not collected is there at once, after what was collected before it', () => {
  const { written, output } = batches()
  output.collect('a request\n')
  output.write('an error\n')
  expect(written).toEqual(['a request\n', 'an error\n'])
})

test('a line written by hand has all that the log itself writes', () => {
  const lines: string[] = []
  const log = createLog({ logLevel: 'info', production: true }, linesTo(lines), 3)
  log.info({ status: 200 }, 'request')
  const { worker } = log.bindings()
  lineWriter(log)({ level: 30, time: new Date().toISOString(), worker, status: 200, msg: 'request' })
  const [own, byHand] = lines.map((line) => ({ ...JSON.parse(line), time: 'then' }))
  expect(byHand).toEqual(own)
  expect(lines.map((line) => Object.keys(JSON.parse(line)))).toEqual([
    ['level', 'time', 'worker', 'status', 'msg'],
    ['level', 'time', 'worker', 'status', 'msg'],
  ])
})
