import { expect, test } from 'bun:test'
import { dependencies, devDependencies, optionalDependencies } from '../../package.json'

test('the list of dependencies has each package of package.json, once', async () => {
  const document = await Bun.file('docs/dependencies.md').text()
  const listed = [...document.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  )
  const installed = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
  expect(listed.toSorted()).toEqual(installed.toSorted())
})
