/** A frontend that handles every problem of a call: the compiler complains about any that is forgotten. */
import type { Client, Task } from 'taskwell/client'

export async function explain({ api }: Client, id: number): Promise<string> {
  const { data, error } = await api.v1.todos({ id }).patch({ description: null })
  if (error === null) return data.title
  switch (error.status) {
    case 400: {
      const code: 'MALFORMED_JSON' = error.value.error_code
      return code
    }
    case 401: {
      const code: 'TOKEN_MISSING' | 'TOKEN_EXPIRED' | 'TOKEN_INVALID' | 'TOKEN_NOT_JWT' =
        error.value.error_code
      return code
    }
    case 403: {
      const code: 'OWNER_MISMATCH' | 'INSUFFICIENT_SCOPE' = error.value.error_code
      return code
    }
    case 404: {
      const code: 'TASK_NOT_FOUND' = error.value.error_code
      return code
    }
    case 408:
    case 413:
    case 415: {
      const code: 'REQUEST_TIMEOUT' | 'PAYLOAD_TOO_LARGE' | 'UNSUPPORTED_MEDIA_TYPE' = error.value.error_code
      return code
    }
    case 429: {
      const code: 'RATE_LIMITED' = error.value.error_code
      return code
    }
    case 412: {
      const code: 'PRECONDITION_FAILED' = error.value.error_code
      return `${code} ${error.value.current.title}`
    }
    case 422: {
      const code: 'VALIDATION_ERROR' = error.value.error_code
      return [code, ...(error.value.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`)].join()
    }
    case 500: {
      const code: 'INTERNAL_ERROR' = error.value.error_code
      return `${code} ${error.value.request_id}`
    }
    case 503: {
      const code: 'DATABASE_UNAVAILABLE' | 'KEYS_UNAVAILABLE' | 'OVERLOADED' | 'NO_ANSWER' =
        error.value.error_code
      return code
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainUpdate(client: Client, task: Task): Promise<string> {
  const { error } = await client.update(task, ({ completed }) => ({ completed: !completed }))
  switch (error?.status) {
    case undefined:
      return ''
    case 400:
    case 401:
    case 403:
    case 404:
    case 408:
    case 413:
    case 415:
    case 422:
    case 429:
    case 500:
    case 503:
      return error.value.detail
    case 412:
      return error.value.current.title
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainRestored({ api }: Client, id: number): Promise<string> {
  const { error } = await api.v1.todos({ id }).restore.post()
  switch (error?.status) {
    case undefined:
      return ''
    case 401:
    case 403:
    case 404:
    case 422:
    case 429:
    case 500:
    case 503:
      return error.value.detail
    case 412: {
      const code: 'PRECONDITION_FAILED' = error.value.error_code
      return `${code} ${error.value.current.title}`
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainChanges({ api }: Client, since: string): Promise<string> {
  const { error } = await api.v1.todos.changes.get({ query: { since } })
  switch (error?.status) {
    case undefined:
      return ''
    case 401:
    case 403:
    case 422:
    case 429:
    case 500:
    case 503:
      return error.value.detail
    case 410: {
      const code: 'CURSOR_EXPIRED' = error.value.error_code
      return code
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainEvents({ api }: Client, since: string): Promise<string> {
  const { error } = await api.v1.todos.events.get({ query: { since } })
  if (error?.status !== 429) return ''
  const code: 'RATE_LIMITED' = error.value.error_code
  return code
}

export async function explainSignUp(client: Client): Promise<string> {
  const { error } = await client.signUp({ email: 'ann@example.com', password: 'secret' })
  switch (error?.status) {
    case undefined:
      return ''
    case 400:
    case 408:
    case 413:
    case 415:
    case 429:
    case 500:
      return error.value.detail
    case 409: {
      const code: 'EMAIL_TAKEN' = error.value.error_code
      return code
    }
    case 422: {
      const code: 'VALIDATION_ERROR' = error.value.error_code
      return [code, ...(error.value.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`)].join()
    }
    case 503: {
      const code: 'DATABASE_UNAVAILABLE' | 'OVERLOADED' | 'NO_ANSWER' = error.value.error_code
      return code
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainSignIn({ signIn }: Client): Promise<string> {
  const { error } = await signIn({ email: 'ann@example.com', password: 'secret' })
  switch (error?.status) {
    case undefined:
      return ''
    case 400:
    case 408:
    case 413:
    case 415:
    case 422:
    case 429:
    case 500:
    case 503:
      return error.value.detail
    case 401: {
      const code: 'INVALID_CREDENTIALS' = error.value.error_code
      return code
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainNewPassword({ api }: Client): Promise<string> {
  const body = { current_password: 'secret', new_password: 'another secret' }
  const { error } = await api.v1.users.me.password.post(body)
  switch (error?.status) {
    case undefined:
      return ''
    case 400:
    case 408:
    case 413:
    case 415:
    case 422:
    case 429:
    case 500:
      return error.value.detail
    case 401: {
      const code: 'TOKEN_MISSING' | 'TOKEN_EXPIRED' | 'TOKEN_INVALID' | 'TOKEN_NOT_JWT' =
        error.value.error_code
      return code
    }
    case 403: {
      const code: 'WRONG_PASSWORD' | 'INSUFFICIENT_SCOPE' = error.value.error_code
      return code
    }
    case 404: {
      const code: 'ACCOUNT_NOT_FOUND' = error.value.error_code
      return code
    }
    case 503: {
      const code: 'DATABASE_UNAVAILABLE' | 'KEYS_UNAVAILABLE' | 'OVERLOADED' | 'NO_ANSWER' =
        error.value.error_code
      return code
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function explainEndedSession({ api }: Client, id: string): Promise<string> {
  const { error } = await api.v1.users.me.sessions({ id }).delete()
  if (error?.status !== 404) return ''
  const code: 'SESSION_NOT_FOUND' | 'ACCOUNT_NOT_FOUND' = error.value.error_code
  return code
}

export async function explainHealth(client: Client): Promise<string> {
  const { error } = await client.health.get()
  switch (error?.status) {
    case undefined:
      return ''
    case 422:
    case 500:
      return error.value.detail
    case 503: {
      // the route itself has no 503
      const code: 'NO_ANSWER' = error.value.error_code
      return code
    }
    default: {
      const unhandled: never = error
      return unhandled
    }
  }
}

export async function showsAnyProblem({ api }: Client): Promise<string> {
  const { error } = await api.v1.todos.get()
  return error ? `${error.value.error_code}: ${error.value.detail}` : ''
}

export async function forgetsAStatus({ api }: Client): Promise<string> {
  const { error } = await api.v1.todos.get()
  switch (error?.status) {
    case undefined:
    case 401:
    case 403:
    case 429:
    case 500:
    case 503:
      return ''
    default: {
      // @ts-expect-error 422 is not handled
      const unhandled: never = error
      return unhandled
    }
  }
}
