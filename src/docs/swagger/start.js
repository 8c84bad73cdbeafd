/** Starts Swagger UI. It is loaded by the page, and uses nothing of the server's modules. */

/** How long the page listens to a stream of events, in milliseconds: Swagger UI shows an answer when it has ended. */
const LISTENING = 5000

/** The service's root address without a slash at its end, from this script's own address. */
const root = new URL('../..', document.currentScript.src).href.slice(0, -1)

/** As `fetch`, but the answer has ended: of an event stream, it has what comes in the first seconds. */
async function fetchToEnd(url, options) {
  const control = new AbortController()
  const response = await fetch(url, { ...options, signal: control.signal })
  const { status, statusText, headers, body } = response
  if (!headers.get('content-type')?.startsWith('text/event-stream')) return response
  setTimeout(() => control.abort(), LISTENING)
  let text = ''
  try {
    for (const reader = body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
      const { done, value } = await reader.read()
      if (done) break
      text += value
    }
  } catch {
    text += `: this page listens for ${LISTENING / 1000} seconds\n`
  }
  const answer = new Response(text, { status, statusText, headers })
  Object.defineProperty(answer, 'url', { value: response.url })
  return answer
}

/** Shows of a problem its status and codes, and the rest when it is opened; of headers the same. */
function foldedAnswers({ React, getComponent }) {
  const { createElement, useState } = React
  const Markdown = getComponent('Markdown', true)
  return {
    wrapComponents: {
      response: (Original) =>
        function Response(props) {
          const [isOpen, setOpen] = useState(Number(props.code) < 400)
          if (isOpen) return createElement(Original, props)
          const source = props.response.get('description')
          const open = () => setOpen(true)
          const button = createElement(
            'button',
            { type: 'button', className: 'unfold', onClick: open },
            props.code,
          )
          return createElement(
            'tr',
            { className: 'response', 'data-code': props.code },
            createElement('td', { className: 'response-col_status' }, button),
            createElement(
              'td',
              { className: 'response-col_description' },
              createElement(Markdown, { source }),
            ),
          )
        },
      headers: (Original) => (props) =>
        createElement(
          'details',
          null,
          createElement('summary', null, 'Headers'),
          createElement(Original, props),
        ),
    },
  }
}

globalThis.ui = SwaggerUIBundle({
  url: `${root}/openapi.json`,
  dom_id: '#ui',
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  plugins: [foldedAnswers],
  requestInterceptor: (request) => Object.assign(request, { userFetch: fetchToEnd }),
  responseInterceptor(response) {
    // the page's policy allows requests to its own origin only, also if the document names another public address
    if (response.ok && response.url === `${root}/openapi.json`) {
      response.text = JSON.stringify({ ...response.body, servers: [{ url: root }] })
    }
    // signing in or up on the page does what *Authorize* does
    const { access_token: token } = response.body ?? {}
    if (response.ok && token && response.url.startsWith(`${root}/api/v1/auth/`)) {
      globalThis.ui.preauthorizeApiKey('bearer', token)
    }
    return response
  },
})
