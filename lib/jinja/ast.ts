/** Values that can stand in a template as they are. */
export type Constant = null | boolean | bigint | number | string;

/** Arguments of a call, a filter or a test. */
export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
  /** `*list` */
  readonly rest: Expression | null;
  /** `**dict` */
  readonly namedRest: Expression | null;
}

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export type Slice = {
  kind: 'slice';
  line: number;
  start: Expression | null;
  stop: Expression | null;
  step: Expression | null;
};

export type FilterExpression = {
  kind: 'filter';
  line: number;
  /** Null: what a block holds. */
  target: Expression | null;
  name: string;
  arguments: CallArguments;
};

export type CallExpression = { kind: 'call'; line: number; target: Expression; arguments: CallArguments };

export type Expression =
  | { kind: 'constant'; line: number; value: Constant }
  | { kind: 'name'; line: number; name: string }
  | { kind: 'list' | 'tuple'; line: number; items: readonly Expression[] }
  | { kind: 'dict'; line: number; pairs: readonly (readonly [Expression, Expression])[] }
  | { kind: 'condition'; line: number; test: Expression; then: Expression; otherwise: Expression | null }
  | { kind: 'or' | 'and'; line: number; left: Expression; right: Expression }
  | { kind: 'not' | 'negative' | 'positive'; line: number; operand: Expression }
  | {
      kind: 'comparison';
      line: number;
      first: Expression;
      rest: readonly (readonly [ComparisonOperator, Expression])[];
    }
  | { kind: 'binary'; line: number; operator: BinaryOperator; left: Expression; right: Expression }
  | { kind: 'concatenation'; line: number; parts: readonly Expression[] }
  | { kind: 'attribute'; line: number; target: Expression; name: string }
  | { kind: 'item'; line: number; target: Expression; key: Expression }
  | Slice
  | CallExpression
  | FilterExpression
  | { kind: 'test'; line: number; target: Expression; name: string; arguments: CallArguments };

/** What can be assigned to. */
export type Target =
  | { kind: 'name'; line: number; name: string }
  | { kind: 'tuple'; line: number; items: readonly Target[] }
  | { kind: 'member'; line: number; namespace: string; name: string };

/**
 * Statements of one scope. `unset` are the names that are nothing when the scope is entered, whatever the template was
 * given: those that the scope assigns before it reads them (see scopes.ts).
 */
export interface Scope {
  readonly body: readonly Statement[];
  unset: readonly string[];
}

/** A macro, or the body of a call block. */
export interface Signature {
  readonly name: string;
  readonly parameters: readonly string[];
  /** Of the last parameters. */
  readonly defaults: readonly Expression[];
  readonly scope: Scope;
  /** Which of the special names the body uses. */
  uses: { caller: boolean; varargs: boolean; kwargs: boolean };
}

export type ForStatement = {
  kind: 'for';
  line: number;
  target: Target;
  items: Expression;
  test: Expression | null;
  recursive: boolean;
  /** Whether the body reads `loop`. */
  usesLoop: boolean;
  scope: Scope;
  otherwise: Scope;
};

export type Statement =
  | { kind: 'text'; line: number; text: string }
  | { kind: 'print'; line: number; value: Expression }
  | ForStatement
  | {
      kind: 'if';
      line: number;
      branches: readonly { test: Expression; body: readonly Statement[] }[];
      otherwise: readonly Statement[];
    }
  | { kind: 'set'; line: number; target: Target; value: Expression }
  | { kind: 'set-block'; line: number; target: Target; filter: FilterExpression | null; scope: Scope }
  | { kind: 'macro'; line: number; signature: Signature }
  | { kind: 'call'; line: number; call: CallExpression; signature: Signature }
  | { kind: 'generation'; line: number; signature: Signature }
  | { kind: 'filter'; line: number; filter: FilterExpression; scope: Scope }
  | { kind: 'with'; line: number; assignments: readonly (readonly [Target, Expression])[]; scope: Scope }
  | { kind: 'block'; line: number; name: string; scope: Scope }
  | { kind: 'break' | 'continue'; line: number };
