import { z } from 'zod';

/** The schema with every object in it strict: a field that it does not name is a fault. */
export function strictSchema(schema: z.core.$ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    const shape: Readonly<Record<string, z.core.$ZodType>> = schema.shape;
    return z.strictObject(
      Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, strictSchema(field)])),
    );
  }
  if (schema instanceof z.ZodArray) return z.array(strictSchema(schema.element));
  if (schema instanceof z.ZodOptional) return strictSchema(schema.unwrap()).optional();
  if (schema instanceof z.ZodNullable) return strictSchema(schema.unwrap()).nullable();
  return schema as z.ZodType; // every schema that z makes is one
}
