/** Where a byte stream stands that was cut anywhere: inside a character or an escape sequence. */

const escapeByte = 0x1b;
const bell = 0x07;
/** Longest unfinished sequence that is looked for, bytes. */
const maxTailBytes = 4096;

function isStringIntroducer(byte: number): boolean {
  // DCS, SOS, OSC, PM, APC (ECMA-48 section 5.6).
  return byte === 0x50 || byte === 0x58 || byte === 0x5d || byte === 0x5e || byte === 0x5f;
}

function endsInsideSequence(sequence: Buffer): boolean {
  const introducer = sequence[1];
  if (introducer === undefined) return true;
  if (introducer === 0x5b) {
    return !sequence.subarray(2).some((byte) => byte >= 0x40 && byte <= 0x7e);
  }
  if (isStringIntroducer(introducer)) {
    return !sequence.subarray(2).some((byte) => byte === bell || byte === 0x18 || byte === 0x1a);
  }
  // Two-byte sequences end at once, those with intermediate bytes at their final byte.
  return sequence.subarray(1).every((byte) => byte >= 0x20 && byte <= 0x2f);
}

function unfinishedCharacterBytes(bytes: Buffer): number {
  for (let length = 1; length <= 3; length++) {
    const byte = bytes[bytes.byteLength - length];
    if (byte === undefined || byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return wanted > length ? length : 0;
    }
  }
  return 0;
}

/**
 * The unfinished escape sequence or UTF-8 character at the end of `bytes`, or nothing. A terminal
 * that takes over from here must see these bytes before what follows.
 */
export function unfinishedTail(bytes: Buffer): Buffer {
  const recent = bytes.subarray(Math.max(0, bytes.byteLength - maxTailBytes));
  const start = recent.lastIndexOf(escapeByte);
  if (start >= 0) {
    const sequence = recent.subarray(start);
    // The ESC of a string's terminator alone: the string began at an earlier ESC.
    const before = recent.lastIndexOf(escapeByte, start - 1);
    if (sequence.byteLength === 1 && start > 0 && before >= 0) {
      const string = recent.subarray(before, start);
      if (isStringIntroducer(string[1] ?? 0) && endsInsideSequence(string)) {
        return recent.subarray(before);
      }
    }
    if (endsInsideSequence(sequence)) return sequence;
  }
  const length = unfinishedCharacterBytes(recent);
  return recent.subarray(recent.byteLength - length);
}
