import { existsSync } from 'node:fs';

// In the example image: its alterations, until a product's own are copied to where the runner looks for them.
export default { dir: existsSync('/app/alterations') ? '/app/alterations' : '/app/example' };
