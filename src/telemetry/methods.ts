/** Metrics and traces name only these methods: otherwise a client could make a new series with each method it invents. */
export const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
