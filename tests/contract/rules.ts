/** Every rule of an operation's schemas, broken and just not broken: each is tried, whatever chance does. */
import type { Operation, Schema } from '../support/openapi'
import type { Contract, Fields } from './contract'
import type { Change, Draft } from './drafts'

/** One change for each rule. */
export function rulesOf(contract: Contract, operation: Operation): Change[] {
  const { parameters, body } = operation
  const queries = parameters.filter((each) => each.in === 'query')
  const fields = contract.fieldsOf(operation)
  return [
    rule('an unknown parameter', (draft) => setParameter(draft, 'nope', '1')),
    ...queries.map(({ name }) => rule('a parameter twice', (draft) => repeatParameter(draft, name))),
    ...queries.flatMap(({ name, schema }) =>
      limitsOf(contract.limits(schema)).map((value) =>
        rule('a parameter at its limit', (draft) => setParameter(draft, name, String(value))),
      ),
    ),
    ...(body ? [rule('an unknown field', (draft) => setField(draft, 'nope', 1))] : []),
    ...fields.flatMap(([name, schema]) => [
      rule('a field left out', (draft) => editFields(draft, ({ [name]: _, ...rest }) => rest)),
      rule('a field of another type', (draft) =>
        setField(draft, name, contract.limits(schema).type === 'array' ? {} : []),
      ),
      rule('an empty field', (draft) => setField(draft, name, '')),
      ...(contract.limits(schema).type === 'string' ? withNul(name) : []),
      ...[...limitsOf(contract.limits(schema)), ...arraysOf(contract, contract.limits(schema))].map((value) =>
        rule('a field at its limit', (draft) => setField(draft, name, value)),
      ),
    ]),
  ]
}

function rule(name: string, apply: (draft: Draft) => void): Change {
  return { name, apply }
}

/** In what may be good without it, such as a token, so that whatever looks it up has it. */
function withNul(name: string): Change[] {
  return [(text: string) => `\0${text}`, (text: string) => `${text}\0`].map((edit) =>
    rule('a field with NUL', (draft) => {
      editFields(draft, (fields) => ({ ...fields, [name]: edit(String(fields[name] ?? '')) }))
      // who signs out is signed out, whatever the token was
      if (name === 'refresh_token' && draft.operation.responses['401']) draft.flaws.push('a token with NUL')
    }),
  )
}

export function setParameter(draft: Draft, name: string, value: string): void {
  draft.query = [...draft.query.filter(([each]) => each !== name), [name, value]]
}

export function repeatParameter(draft: Draft, name: string): void {
  const value = draft.query.find(([each]) => each === name)?.[1] ?? '1'
  setParameter(draft, name, value)
  draft.query.push([name, value])
}

/** Also where there was no body. */
export function setField(draft: Draft, name: string, value: unknown): void {
  // not by assignment, which `__proto__` would make a prototype
  editFields(draft, (fields) => Object.fromEntries([...Object.entries(fields), [name, value]]))
}

/** In one of the objects that the body holds, itself included. */
export function setFieldWithin(
  draft: Draft,
  n: number,
  nameOf: (names: string[]) => string,
  value: unknown,
): void {
  const objects: Fields[] = []
  JSON.stringify(draft.json, (_, each) => {
    if (isFields(each)) objects.push(each)
    return each
  })
  const chosen = objects[n % Math.max(1, objects.length)]
  if (!chosen) return
  const changed = Object.fromEntries([...Object.entries(chosen), [nameOf(Object.keys(chosen)), value]])
  draft.json = withReplaced(draft.json, chosen, changed)
}

function withReplaced(value: unknown, old: Fields, changed: Fields): unknown {
  if (value === old) return changed
  if (Array.isArray(value)) return value.map((each) => withReplaced(each, old, changed))
  if (!isFields(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, withReplaced(each, old, changed)]),
  )
}

function editFields(draft: Draft, apply: (fields: Fields) => Fields): void {
  draft.json = apply(isFields(draft.json) ? draft.json : {})
  draft.headers['content-type'] ??= 'application/json'
}

/** Values at the bounds of a schema and just beyond them. */
function limitsOf({ minLength, maxLength, minimum, maximum }: Schema): (string | number)[] {
  const around = (low?: number, high?: number) => [
    ...(low === undefined ? [] : [low - 1, low]),
    ...(high === undefined ? [] : [high, high + 1]),
  ]
  const lengths = around(minLength, maxLength).filter((length) => length >= 0)
  // one of two UTF-16 units is still one character
  const texts = lengths.flatMap((length) => ['x'.repeat(length), '𝒳'.repeat(length)])
  return [...texts, ...around(minimum, maximum)]
}

/** Arrays as long as they may be, or as short, and just beyond; and one with an item twice. */
function arraysOf(
  contract: Contract,
  { type, items = {}, minItems, maxItems, uniqueItems }: Schema,
): unknown[][] {
  if (type !== 'array') return []
  const { type: itemType, minimum = 0 } = contract.limits(items)
  const itemAt = (n: number) => {
    if (itemType === 'integer') return minimum + n
    return itemType === 'string' ? `item ${n}` : contract.sampleOf(items)
  }
  const lengths = [
    ...(minItems ? [minItems - 1, minItems] : []),
    ...(maxItems ? [maxItems, maxItems + 1] : []),
  ]
  const arrays = lengths.map((length) => Array.from({ length }, (_, n) => itemAt(n)))
  return uniqueItems ? [...arrays, [itemAt(0), itemAt(0)]] : arrays
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
