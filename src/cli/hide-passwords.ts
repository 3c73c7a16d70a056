/** The text with `***` for the password of every URL in it, wherever it stands in the URL: a database URL in the wrong place is shown in a message. */
export function hidePasswords(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s"]*@/gi, '$1:***@')
    .replace(/\b(password=)[^&\s"]+/gi, '$1***');
}
