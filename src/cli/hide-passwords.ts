/** The text with `***` for the password of every URL in it, wherever it stands in the URL, and of one that was taken for a path: a database URL in the wrong place is shown in a message. */
export function hidePasswords(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/?[^\s:@/]*):[^\s"]*@/gi, '$1:***@')
    .replace(/(password=)[^&\s"]+/gi, '$1***');
}

/** The document with every text in it so; to be done before it is JSON, where a quote has a backslash before it. */
export function hidePasswordsIn<T extends object>(document: T): T {
  return JSON.parse(
    JSON.stringify(document, (_, value: unknown) =>
      typeof value === 'string' ? hidePasswords(value) : value,
    ),
  );
}
