/** A real, headless Chromium. */
import { afterAll, setDefaultTimeout } from 'bun:test'
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATHS = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/usr/bin/chromium-browser',
]

const executablePath = PATHS.find((path) => path && existsSync(path))

// where the whole project is checked, a missing browser is a fault and no reason to skip
if (!executablePath && process.env.REQUIRE_BROWSER) {
  throw new Error('There is no Chromium: install it, or name it in CHROMIUM')
}

/** Says in a test's name why it is skipped. */
export const skipReason = executablePath ? '' : ' (skipped: no Chromium here; name one in CHROMIUM)'

/** Starts Chromium for a test file; it ends with the file. */
export async function launchBrowser(): Promise<Browser> {
  // a page takes longer on a busy machine, and how long is not what is tested
  setDefaultTimeout(60_000)
  const browser = await chromium.launch({
    ...(executablePath && { executablePath }),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  afterAll(() => browser.close())
  return browser
}
