/**
 * Takes the README's picture, `docs/pictures/docs-page.png`, from a running Taskwell, with Chromium:
 *
 *     bun run start                                            # in another terminal
 *     bun scripts/take-picture.ts http://localhost:8000
 *
 * It registers a user of its own on that server. `CHROMIUM` names a browser elsewhere than in /usr/bin/chromium.
 */
import { join } from 'node:path'
import { chromium, type Locator } from 'playwright-core'

const [, , url = 'http://localhost:8000'] = process.argv

/** In pixels: about as wide as GitHub shows a picture. */
const WIDTH = 900
const MARGIN = 12

/** Opens an operation, sends a body, and waits for 201. */
async function execute(operation: Locator, body: object): Promise<void> {
  await operation.locator('.opblock-summary-control').click()
  await operation.locator('textarea').fill(JSON.stringify(body, null, 2))
  await operation.locator('.execute').click()
  await operation.locator('.live-responses-table .response-col_status', { hasText: '201' }).waitFor()
}

async function boxOf(element: Locator) {
  const box = await element.boundingBox()
  if (box === null) throw new Error('The page does not show what the picture is of')
  return box
}

const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
})
try {
  const page = await browser.newPage({
    viewport: { width: WIDTH, height: 16_000 },
    colorScheme: 'light',
    deviceScaleFactor: 1.2,
  })
  await page.goto(`${url}/docs`)
  // after this the page sends the user's token
  const register = page.locator('#operations-Sign-in-register')
  await execute(register, { email: `ann.${Date.now()}@example.com`, password: 'correct horse battery' })

  const create = page.locator('#operations-Tasks-createTask')
  await execute(create, { title: 'Buy milk', due_date: '2026-12-04', tags: ['errands'] })
  // smaller, as a user would drag it
  await create.locator('textarea').evaluate(({ style }) => {
    style.minHeight = '0'
    style.height = '140px'
  })
  await page.mouse.move(0, 0)

  const { y: top } = await boxOf(create)
  const end = await boxOf(create.locator('.live-responses-table .highlight-code').first())
  const clip = { x: 0, y: top - MARGIN, width: WIDTH, height: end.y + end.height - top + 2 * MARGIN }
  await page.screenshot({ path: join(import.meta.dir, '../docs/pictures/docs-page.png'), clip })
} finally {
  await browser.close()
}
