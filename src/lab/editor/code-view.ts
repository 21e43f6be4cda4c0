/** The text field of the editor: CodeMirror with what the course's files need. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  HighlightStyle,
  indentOnInput,
  indentUnit,
  type Language,
  type LanguageSupport,
  StreamLanguage,
  syntaxHighlighting,
} from "@codemirror/language";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { nginx } from "@codemirror/legacy-modes/mode/nginx";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { type Diagnostic, linter, lintGutter, lintKeymap } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import { phrases } from "./phrases.ts";
import { isYaml, type Problem, yamlProblems } from "./yaml-lint.ts";

export interface CodeViewListener {
  onChange(): void;
  onSave(): void;
  onProblems(problems: readonly Problem[]): void;
}

const colors = HighlightStyle.define([
  {
    tag: [tags.propertyName, tags.attributeName, tags.definition(tags.propertyName)],
    color: "var(--pb-code-key)",
  },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--pb-code-string)" },
  {
    tag: [tags.keyword, tags.bool, tags.number, tags.null, tags.atom],
    color: "var(--pb-code-value)",
  },
  { tag: [tags.comment, tags.lineComment, tags.meta], color: "var(--pb-code-comment)" },
  { tag: [tags.variableName, tags.labelName, tags.typeName], color: "var(--pb-code-name)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", backgroundColor: "transparent", color: "inherit" },
  "&.cm-focused": { outline: "2px solid var(--sl-color-text-accent)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--pb-terminal-font)", lineHeight: "1.5" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--sl-color-gray-3)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--pb-code-line)" },
  ".cm-content": { caretColor: "var(--sl-color-white)" },
  ".cm-cursor": { borderLeftColor: "var(--sl-color-white)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    { background: "var(--pb-code-selection)" },
  ".cm-panels": { backgroundColor: "var(--sl-color-bg)", color: "inherit" },
  ".cm-tooltip": {
    backgroundColor: "var(--sl-color-bg)",
    border: "1px solid var(--sl-color-gray-4)",
    color: "inherit",
  },
  ".cm-deletedChunk": { backgroundColor: "var(--pb-code-removed)" },
});

function languageOf(path: string): LanguageSupport | Language | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  if (isYaml(path)) return yaml();
  if (/^(dockerfile|containerfile)(\.|$)|\.dockerfile$/.test(name)) {
    return StreamLanguage.define(dockerFile);
  }
  if (/\.(sh|bash|env)$|^\.(bashrc|profile|env)/.test(name)) return StreamLanguage.define(shell);
  if (/nginx.*\.conf$|\.conf(\.template)?$/.test(name)) return StreamLanguage.define(nginx);
  return undefined;
}

/** Line end that a text has throughout; a mixed one keeps each CR as a character that is shown. */
function lineEndOf(text: string): string {
  const breaks = text.match(/\r?\n/g) ?? [];
  return breaks.length > 0 && breaks.every((found) => found === "\r\n") ? "\r\n" : "\n";
}

export class CodeView {
  readonly #view: EditorView;
  readonly #path: string;
  readonly #text: LabText;
  readonly #listener: CodeViewListener;
  readonly #compare = new Compartment();

  constructor(
    parent: HTMLElement,
    path: string,
    content: string,
    text: LabText,
    listener: CodeViewListener,
  ) {
    this.#path = path;
    this.#text = text;
    this.#listener = listener;
    this.#view = new EditorView({ parent, state: this.#state(content) });
  }

  get content(): string {
    return this.#view.state.sliceDoc();
  }

  get focused(): boolean {
    return this.#view.hasFocus;
  }

  /** Puts another text in place of this one, as one change that can be undone. */
  replace(content: string): void {
    const { state } = this.#view;
    if (this.content === content) return;
    if (lineEndOf(content) !== state.lineBreak) {
      this.#view.setState(this.#state(content));
      return;
    }
    // Only what differs is replaced, so that the cursor stays where it is. In the editor a line end is one character.
    const now = state.doc.toString();
    const next = state.lineBreak === "\r\n" ? content.replaceAll("\r\n", "\n") : content;
    const shorter = Math.min(now.length, next.length);
    let from = 0;
    while (from < shorter && now[from] === next[from]) from += 1;
    let end = 0;
    while (end < shorter - from && now.at(-1 - end) === next.at(-1 - end)) end += 1;
    const insert = Text.of(next.slice(from, next.length - end).split("\n"));
    this.#view.dispatch({ changes: { from, to: now.length - end, insert } });
  }

  /** Shows how the text differs from another one; `undefined` ends that. */
  compareWith(original: string | undefined): void {
    this.#view.dispatch({
      effects: this.#compare.reconfigure(
        original === undefined ? [] : unifiedMergeView({ original, mergeControls: false }),
      ),
    });
  }

  goTo(offset: number): void {
    const at = Math.min(offset, this.#view.state.doc.length);
    this.#view.dispatch({ selection: { anchor: at }, scrollIntoView: true });
    this.#view.focus();
  }

  /** Line of an offset, from 1. */
  lineAt(offset: number): number {
    return this.#view.state.doc.lineAt(Math.min(offset, this.#view.state.doc.length)).number;
  }

  focus(): void {
    this.#view.focus();
  }

  dispose(): void {
    this.#view.destroy();
  }

  #state(content: string): EditorState {
    const { editor, language } = this.#text;
    const extensions: Extension[] = [
      lineNumbers(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      highlightSpecialChars(),
      history(),
      drawSelection(),
      indentOnInput(),
      bracketMatching(),
      highlightSelectionMatches(),
      EditorView.lineWrapping,
      indentUnit.of("  "),
      EditorState.lineSeparator.of(lineEndOf(content)),
      EditorState.phrases.of(phrases[language]),
      syntaxHighlighting(colors),
      look,
      lintGutter(),
      linter((view) => this.#lint(view), { delay: 400 }),
      keymap.of([
        {
          key: "Mod-s",
          preventDefault: true,
          run: () => {
            this.#listener.onSave();
            return true;
          },
        },
        indentWithTab,
        ...searchKeymap,
        ...lintKeymap,
        ...historyKeymap,
        ...defaultKeymap,
      ]),
      EditorView.contentAttributes.of({ "aria-label": fill(editor.label, { path: this.#path }) }),
      EditorView.updateListener.of(({ docChanged }) => {
        if (docChanged) this.#listener.onChange();
      }),
      this.#compare.of([]),
    ];
    const found = languageOf(this.#path);
    if (found !== undefined) extensions.push(found);
    return EditorState.create({ doc: content, extensions });
  }

  #lint(view: EditorView): readonly Diagnostic[] {
    // In the editor a line end is one character, whatever it is in the file.
    const problems = isYaml(this.#path)
      ? yamlProblems(this.#path, view.state.doc.toString(), this.#text.editor)
      : [];
    this.#listener.onProblems(problems);
    const end = view.state.doc.length;
    return problems.map(({ from, to, severity, message }) => ({
      from: Math.min(from, end),
      to: Math.min(Math.max(from, to), end),
      severity,
      message,
    }));
  }
}
