/** Tickets open a stream of events in place of a token, for clients that cannot send headers. */
import type { Caller } from '../auth/caller'
import type { FindCaller, Services, SignedIn } from '../auth/guard'
import { hashOf, newSecret } from '../auth/random-secret'
import { refuseToken } from '../auth/refusal'
import { queryOf } from '../http/query'
import { contextOf } from '../http/request-context'
import type { EventTicket } from './model'
import * as queries from './queries'

/** In seconds. */
const LIFETIME = 60

/** What `newSecret` makes; anything else is refused without asking the database. */
const FORM = /^[\w-]{43}$/

/** Answers a new ticket. @throws Problem TOKEN_INVALID for a deleted user or an ended session */
export async function createTicket({ caller, sql, set }: SignedIn): Promise<EventTicket> {
  const ticket = newSecret()
  // the token may end sooner
  const lifetime = Math.max(0, Math.min(LIFETIME, Math.floor(caller.expiresAt - Date.now() / 1000)))
  const row = { ticketHash: hashOf(ticket), lifetime }
  // a second try, because another first write of the user may come between
  const isMade =
    (await queries.createTicket(sql, caller, row)) || (await queries.createTicket(sql, caller, row))
  if (!isMade) throw refuseToken('revoked')
  set.headers['cache-control'] = 'no-store'
  return { ticket, expires_in: lifetime }
}

/**
 * For a guard that takes a ticket from a request without a token. A ticket is used up by the request, even if that is
 * refused later.
 *
 * @returns a function that throws Problem TICKET_INVALID, or what `verify` throws
 */
export function byTokenOrTicket({ database, verify }: Services): FindCaller {
  const findHolder = async (request: Request, ticket: string): Promise<Caller> => {
    const context = contextOf(request)
    // the ticket is used up: a statement whose answer was lost must not be repeated
    context.isSafe = false
    const sql = database.sqlFor(context)
    const holder = FORM.test(ticket) ? await queries.redeemTicket(sql, hashOf(ticket)) : undefined
    if (!holder) throw refuseToken('ticket')
    return holder
  }
  return (request) => {
    const authorization = request.headers.get('authorization')
    const ticket = queryOf(request).get('ticket')
    return ticket === null || authorization !== null
      ? verify(authorization, contextOf(request))
      : findHolder(request, ticket)
  }
}
