/** What a token may be used for, if not for everything. */
import { Problem } from '../http/problems'
import type { Caller, Scope } from './caller'

/** What a request needs of a token with scopes; null: no such token will do. */
export type NeededScope = (request: Request) => Scope | null

/** For routes where GET reads and everything else writes. */
export const byMethod: NeededScope = ({ method }) =>
  method === 'GET' || method === 'HEAD' ? 'tasks:read' : 'tasks:write'

/** For routes that only read, whatever their method. */
export const toRead: NeededScope = () => 'tasks:read'

/** For routes that are not for programs. */
export const notForPrograms: NeededScope = () => null

/** Whether the caller's token is good for this. To write includes to read. */
export function mayUse({ scopes }: Pick<Caller, 'scopes'>, needed: Scope | null): boolean {
  if (scopes === null) return true
  return needed !== null && (scopes.includes(needed) || scopes.includes('tasks:write'))
}

/** @throws Problem INSUFFICIENT_SCOPE */
export function requireScope(caller: Pick<Caller, 'scopes'>, needed: Scope | null): void {
  if (mayUse(caller, needed)) return
  // RFC 6750 section 3.1
  const scope = needed ? `, scope="${needed}"` : ''
  throw new Problem('INSUFFICIENT_SCOPE', {
    headers: { 'www-authenticate': `Bearer error="insufficient_scope"${scope}` },
  })
}
