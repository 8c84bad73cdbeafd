/** Encodes path parameters, which Eden puts into a path as they are. */

/** @throws TypeError for a parameter that is empty, `.` or `..` */
export function encodeParams(params: Record<string, string | number>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, pathSegment(name, String(value))]),
  )
}

function pathSegment(name: string, value: string): string {
  // URLs resolve dots, also encoded ones: the request would go to another path
  if (value === '' || value === '.' || value === '..') {
    throw new TypeError(`${name} cannot be sent in a path when it is empty, "." or ".."`)
  }
  return encodeURIComponent(value)
}
