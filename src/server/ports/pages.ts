/** Pages that a link shows in the lab's stead. */
import type { Language } from "../../i18n/language.ts";

/** Why there is no page of the lab. */
export type LinkProblem =
  | "closed" // nothing listens
  | "silent" // nothing answers
  | "no-http" // what answers speaks no HTTP
  | "slow" // no answer to a request
  | "lab" // the lab does not run
  | "busy" // too many connections
  | "stranger"; // no cookie, or a used ticket

export interface LinkPlace {
  readonly port: number;
  readonly host: string;
}

interface Text {
  readonly title: (place: LinkPlace) => string;
  /** Inline code stands between backticks. */
  readonly advice: (place: LinkPlace) => readonly string[];
}

const statuses: Readonly<Record<LinkProblem, number>> = {
  closed: 502,
  silent: 504,
  "no-http": 502,
  slow: 504,
  lab: 503,
  busy: 503,
  stranger: 403,
};

const en: Readonly<Record<LinkProblem, Text>> = {
  closed: {
    title: ({ port, host }) => `Nothing answers on port ${port} of ${host}`,
    advice: ({ port }) => [
      `Is the container running, and is its port published? \`docker ps\` shows \`0.0.0.0:${port}->…\` if so.`,
      `A program that only just started may need a moment more. One that listens on \`127.0.0.1\` can't be reached from outside of the host.`,
    ],
  },
  silent: {
    title: ({ port, host }) => `No packet comes back from port ${port} of ${host}`,
    advice: () => [
      "A firewall rule may drop what arrives: `iptables -nvL` counts packets rule by rule.",
      "Or the host has lost its address: `ip addr show eth0`.",
    ],
  },
  "no-http": {
    title: ({ port, host }) => `Port ${port} of ${host} speaks no HTTP`,
    advice: () => [
      "Something listens there, but no web server: a database, perhaps. Try another port.",
      "Or it ended the connection before it answered: `docker logs` says why.",
    ],
  },
  slow: {
    title: ({ port, host }) => `Port ${port} of ${host} took the request and does not answer`,
    advice: () => [
      "The program behind it may still be starting, or hang: `docker logs` tells more.",
    ],
  },
  lab: {
    title: () => "The lab does not run",
    advice: () => ["Start or resume it in the lesson, then try again here."],
  },
  busy: {
    title: () => "Too many connections at once",
    advice: () => ["Close some tabs of this page, then try again."],
  },
  stranger: {
    title: () => "This address opens nothing by itself",
    advice: () => ["Open the port from the lesson: the link there works once, for you alone."],
  },
};

const ru: Readonly<Record<LinkProblem, Text>> = {
  closed: {
    title: ({ port, host }) => `На порту ${port} хоста ${host} никто не отвечает`,
    advice: ({ port }) => [
      `Работает ли контейнер и опубликован ли его порт? Если да, \`docker ps\` покажет \`0.0.0.0:${port}->…\`.`,
      "Программе, которую только что запустили, может понадобиться ещё немного времени. А та, что слушает на `127.0.0.1`, снаружи хоста недоступна.",
    ],
  },
  silent: {
    title: ({ port, host }) => `С порта ${port} хоста ${host} не возвращается ни одного пакета`,
    advice: () => [
      "Возможно, входящие пакеты отбрасывает правило фильтра: `iptables -nvL` считает пакеты по каждому правилу.",
      "Или у хоста пропал адрес: `ip addr show eth0`.",
    ],
  },
  "no-http": {
    title: ({ port, host }) => `На порту ${port} хоста ${host} говорят не по HTTP`,
    advice: () => [
      "Там кто-то слушает, но это не веб-сервер: например, база данных. Попробуйте другой порт.",
      "Или программа закрыла соединение, не ответив: причину покажет `docker logs`.",
    ],
  },
  slow: {
    title: ({ port, host }) => `Порт ${port} хоста ${host} принял запрос и молчит`,
    advice: () => [
      "Программа за ним, возможно, ещё запускается или зависла: подробнее скажет `docker logs`.",
    ],
  },
  lab: {
    title: () => "Лаборатория не работает",
    advice: () => ["Запустите или возобновите её на странице урока и повторите попытку здесь."],
  },
  busy: {
    title: () => "Слишком много соединений сразу",
    advice: () => ["Закройте часть вкладок с этой страницей и повторите попытку."],
  },
  stranger: {
    title: () => "Сам по себе этот адрес ничего не открывает",
    advice: () => ["Откройте порт из урока: ссылка там действует один раз и только для вас."],
  },
};

const texts: Readonly<Record<Language, Readonly<Record<LinkProblem, Text>>>> = { en, ru };
const again: Readonly<Record<Language, string>> = { en: "Try again", ru: "Повторить" };

const style = `
  :root { color-scheme: light dark; font: 1.05rem/1.6 Inter, "Segoe UI", system-ui, "Noto Sans", sans-serif; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center;
    background: light-dark(#f5f8f8, #0d1317); color: light-dark(#22303a, #d5dfe0); }
  main { max-width: 36rem; margin: 1rem; padding: 1.6rem 1.8rem; border-radius: 0.8rem;
    border: 1px solid light-dark(#d5dfe0, #2a3840); border-inline-start: 4px solid light-dark(#855800, #f5c451);
    background: light-dark(#ffffff, #131c21); }
  h1 { margin: 0 0 0.8rem; font-size: 1.3rem; line-height: 1.35; text-wrap: balance; }
  p { margin: 0 0 0.7rem; }
  code { padding: 0.1em 0.35em; border-radius: 0.3rem; background: light-dark(#e8efef, #22303a);
    font: 0.9em ui-monospace, "JetBrains Mono", "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
  a { display: inline-block; margin-top: 0.5rem; padding: 0.4rem 0.9rem; border-radius: 0.5rem; font-weight: 600;
    text-decoration: none; background: light-dark(#0f766e, #14b8a6); color: light-dark(#ffffff, #04201d); }
`;

const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`);
const marked = (text: string) => escaped(text).replace(/`([^`]+)`/g, "<code>$1</code>");

/** A whole answer: status, headers, and a page in words that a student understands. */
export function linkPage(
  problem: LinkProblem,
  place: LinkPlace,
  language: Language,
): { readonly status: number; readonly headers: Record<string, string>; readonly body: string } {
  const { title, advice } = texts[language][problem];
  const paragraphs = advice(place).map((text) => `<p>${marked(text)}</p>`);
  // Where nobody is let in, trying again is no help.
  const retry = problem === "stranger" ? "" : `<a href="">${again[language]}</a>`;
  const body = `<!doctype html>
<html lang="${language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title(place))}</title>
<style>${style}</style>
<main>
<h1>${escaped(title(place))}</h1>
${paragraphs.join("\n")}
${retry}
</main>
</html>
`;
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    "content-security-policy":
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  };
  return { status: statuses[problem], headers, body };
}
