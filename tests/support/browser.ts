/** A real, headless Chromium. */
import { afterAll, describe, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATHS = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/usr/bin/chromium-browser',
]

/** A name of this machine which is not a loopback name to browsers. */
export const INSECURE_HOST = 'lan.test'

/** What Playwright 1.65 turns off by itself, for ours takes the place of its list. */
const OFF_IN_PLAYWRIGHT = [
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsUpgrades',
  'HttpsFirstBalancedModeAutoEnable',
  'LensOverlay',
  'MediaRouter',
  'PaintHolding',
  'ThirdPartyStoragePartitioning',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'TcpPortRandomizationWin',
  'OptimizationHints',
  'NetworkTimeServiceQuerying',
  'AimEnabled',
  'PreconnectToSearch',
  'msForceBrowserSignIn',
  'msEdgeUpdateLaunchServicesPreferredVersion',
]
/** The suggestions below the address bar: a page of the browser's own, which takes longer to start than most of ours. */
const SUGGESTIONS = ['WebUIOmniboxPopup', 'WebUIOmniboxAimPopup']

const executablePath = PATHS.find((path) => path && existsSync(path))

// where the whole project is checked, a missing browser is a fault and no reason to skip
if (!executablePath && process.env['REQUIRE_BROWSER']) {
  throw new Error('There is no Chromium: install it, or name it in CHROMIUM')
}

/** Describes what is seen in a browser; without one, that is skipped, and says so. */
export function describeInBrowser(title: string, tests: (browser: Browser) => Promise<void>): void {
  if (executablePath) {
    describe(title, async () => {
      const browser = await launchBrowser()
      afterAll(() => browser.close())
      await tests(browser)
    })
  } else test.skip(`${title}: there is no Chromium here; name one in CHROMIUM`, () => {})
}

/** @throws Error if there is none */
export async function launchBrowser(): Promise<Browser> {
  if (!executablePath) throw new Error('There is no Chromium: install it, or name it in CHROMIUM')
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--disable-features=${[...OFF_IN_PLAYWRIGHT, ...SUGGESTIONS].join()}`,
      // over plain http, a page of this host is in no secure context
      `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
    ],
  })
}
