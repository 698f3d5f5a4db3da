// Which scripts may be started from a script.

interface Policy {
  createScriptURL(url: string): unknown;
}
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

/** Ours: the tab's worker and the service worker. */
function createScriptURL(wanted: string): string {
  const { origin, pathname } = new URL(wanted, location.href);
  if (origin !== location.origin || !/^\/((assets|src)\/|service\.js$)/.test(pathname)) throw new TypeError(`not our script: ${wanted}`);
  return wanted;
}

const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes;
const policy: Policy = types?.createPolicy("mifeng", { createScriptURL }) ?? { createScriptURL };

/** The address of a script of ours, as the browser insists on it where it has Trusted Types. */
export function scriptUrl(url: string): string {
  return policy.createScriptURL(url) as string;
}
