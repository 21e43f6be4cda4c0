import { isIP } from "node:net";
import { ApiError } from "./errors.ts";
import { type SessionStore, sessionCookie } from "./sessions.ts";

/** The longest that browsers keep a cookie; it begins anew with each day of use. */
const AGE_SECONDS = 400 * 24 * 3600;

interface Found {
  readonly id: string;
  readonly token: string;
}

/** The cookie that holds a session's token. */
export class SessionCookie {
  readonly #sessions: SessionStore;
  readonly #secure: boolean;

  /** `secure`: whether browsers reach this server by https. */
  constructor(sessions: SessionStore, secure: boolean) {
    this.#sessions = sessions;
    this.#secure = secure;
  }

  /** By https, with a prefix that keeps pages under other ports and names from setting it (RFC 6265bis, 4.1.3.2). */
  get name(): string {
    return this.#secure ? `__Host-${sessionCookie}` : sessionCookie;
  }

  /**
   * The session of a `Cookie` header, if any. Throws `ApiError` 400 `session-ambiguous` where it has several: without
   * https, any page under another port of this name could have added its own.
   */
  sessionOf(header: string | undefined): Found | undefined {
    const found = this.#found(header);
    if (found.length > 1) {
      throw new ApiError(
        400,
        "session-ambiguous",
        "The browser sent cookies of several sessions, and one of them may be another page's.",
        "Reload the page. If that does not help, delete this site's cookies.",
      );
    }
    return found[0];
  }

  isAmbiguous(header: string | undefined): boolean {
    return this.#found(header).length > 1;
  }

  #found(header = ""): readonly Found[] {
    const tokens = header
      .split(";")
      .map((pair) => pair.trim())
      .filter((pair) => pair.startsWith(`${this.name}=`))
      .map((pair) => pair.slice(this.name.length + 1));
    return [...new Set(tokens)].flatMap((token) => {
      const id = this.#sessions.find(token);
      return id === undefined ? [] : [{ id, token }];
    });
  }

  /**
   * `Set-Cookie` headers that remove what another page has put beside this cookie: for a longer path, or for the whole
   * domain. The course's own, for the path `/` and this name alone, stays.
   */
  removals(path: string, hostname: string): readonly string[] {
    const parts = path
      .split("/")
      .filter((part) => /^[\w.~-]+$/.test(part))
      .slice(0, 8);
    const paths = parts.flatMap((_part, index) => {
      const prefix = `/${parts.slice(0, index + 1).join("/")}`;
      return [prefix, `${prefix}/`];
    });
    const labels = isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? hostname.split(".") : [];
    const domains = labels.map((_label, index) => labels.slice(index).join(".")).slice(0, 4);
    const places = [
      ...paths.map((each) => `Path=${each}`),
      ...domains.flatMap((domain) =>
        ["/", ...paths].map((each) => `Path=${each}; Domain=${domain}`),
      ),
    ];
    return places.map((place) => `${this.name}=; Max-Age=0; ${place}`);
  }

  /** The `Set-Cookie` header that gives a browser the token. */
  header(token: string): string {
    const attributes = ["Path=/", "HttpOnly", "SameSite=Strict", `Max-Age=${AGE_SECONDS}`];
    if (this.#secure) attributes.push("Secure");
    return [`${this.name}=${token}`, ...attributes].join("; ");
  }
}
