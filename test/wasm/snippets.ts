/**
 * Modules that hold the instructions without a signature of their own.
 *
 * `names`: the instructions that a module must be found to hold, parted by ` | `.
 */
export interface Snippet {
  readonly names: string;
  readonly text: string;
}

/** For wabt. */
export const CONTEXT_SNIPPETS: readonly Snippet[] = [
  {
    names: 'block | loop | if | else | end | br | br_if | br_table | return | unreachable',
    text: `(module (func (param i32) (result i32)
      block $a (result i32)
        loop $b local.get 0 br_if $b end
        local.get 0
        if (result i32) i32.const 1 else i32.const 2 end
        local.get 0
        br_table $a $a $a
      end
      return)
      (func unreachable)
      (func block br 0 end))`,
  },
  {
    names: 'call | call_indirect | return_call | return_call_indirect',
    text: `(module (table 1 funcref) (type $f (func (param i32) (result i32)))
      (func $f (type $f) local.get 0 call $f i32.const 0 call_indirect (type $f))
      (func (type $f) local.get 0 return_call $f)
      (func (type $f) local.get 0 i32.const 0 return_call_indirect (type $f)))`,
  },
  {
    names: 'drop | select | local.get | local.set | local.tee | global.get | global.set',
    text: `(module (global $g (mut i64) (i64.const 5)) (func (param i32) (local i64)
      global.get $g local.tee 1 global.get $g local.get 0 select global.set $g
      local.get 1 local.set 1 local.get 0 drop))`,
  },
  {
    names:
      'ref.null | ref.is_null | ref.func | table.get | table.set | table.grow | table.fill | table.size | select',
    text: `(module (table $t 1 externref) (elem declare func $f)
      (func $f (result i32) ref.func $f ref.is_null)
      (func (param externref i32) (result i32)
        i32.const 0 local.get 0 table.set $t
        i32.const 0 ref.null extern i32.const 0 table.get $t local.get 1
        select (result externref) table.set $t
        i32.const 0 local.get 0 i32.const 1 table.fill $t
        local.get 0 table.size $t table.grow $t))`,
  },
  {
    names: 'memory.copy | table.copy | i32.load | memory.size | memory.init',
    text: `(module (memory 1) (memory $m 1) (table 1 funcref) (table $t 1 funcref) (data "abc")
      (func (param i32)
        local.get 0 local.get 0 local.get 0 memory.copy 0 $m
        local.get 0 local.get 0 local.get 0 table.copy $t 0
        local.get 0 local.get 0 local.get 0 memory.init $m 0
        local.get 0 i32.load $m offset=5 align=1 drop
        memory.size $m drop))`,
  },
  {
    names: 'i64.store | memory.grow | memory.fill | v128.load8_lane',
    text: `(module (memory i64 1) (func (param i64) (result v128)
      local.get 0 i64.const 1 i64.store offset=0x1ffffffff
      local.get 0 memory.grow drop
      local.get 0 i32.const 1 local.get 0 memory.fill
      local.get 0 v128.const i64x2 0 0 v128.load8_lane offset=0x1ffffffff 5))`,
  },
  {
    names: 'try | catch | catch_all | throw | rethrow | delegate',
    text: `(module (tag $e (param i32)) (func (result i32)
      try $outer (result i32)
        try i32.const 7 throw $e delegate $outer
        i32.const 1
      catch $e drop
        try (result i32) i32.const 5 catch_all rethrow 1 end
      end))`,
  },
];

/** For Binaryen, which also knows exnref, typed references and garbage collection. */
export const EXCEPTION_AND_GC_SNIPPETS: readonly Snippet[] = [
  {
    names: 'try_table | throw | throw_ref',
    text: `(module (tag $e (param i32)) (func $f (result i32)
      (local $x exnref)
      (block $all
        (local.set $x (block $ref (result exnref)
          (return (block $plain (result i32)
            (try_table (catch $e $plain) (catch_all_ref $ref) (throw $e (i32.const 1)))
            (try_table (catch_all $all) (throw $e (i32.const 1)))
            (i32.const 2)))))
        (throw_ref (local.get $x)))
      (i32.const 3)))`,
  },
  {
    names: 'call_ref | return_call_ref | ref.as_non_null | br_on_null | br_on_non_null',
    text: `(module (type $f (func (param (ref null $f)) (result i32)))
      (func $a (type $f) (call_ref $f (local.get 0) (ref.as_non_null (local.get 0))))
      (func $b (type $f) (return_call_ref $f (local.get 0) (local.get 0)))
      (func $c (param (ref null $f)) (result i32)
        (block $null (drop (br_on_null $null (local.get 0))) (return (i32.const 1)))
        (drop (block $l (result (ref $f)) (br_on_non_null $l (local.get 0)) (unreachable)))
        (i32.const 2)))`,
  },
  {
    names:
      'struct.new | struct.new_default | struct.get | struct.get_s | struct.get_u | struct.set | ref.eq',
    text: `(module (type $s (struct (field $a (mut i8)) (field $b (mut i64))))
      (func $f (param (ref null $s)) (result i32)
        (struct.set $s $b (local.get 0) (i64.const 9))
        (drop (struct.get_s $s $a (local.get 0)))
        (drop (struct.get_u $s $a (local.get 0)))
        (drop (struct.get $s $b (local.get 0)))
        (drop (struct.new $s (i32.const 1) (i64.const 2)))
        (ref.eq (local.get 0) (struct.new_default $s))))`,
  },
  {
    names:
      'array.new | array.new_default | array.new_fixed | array.new_data | array.new_elem | array.get | array.get_s | array.get_u | array.set | array.len | array.fill | array.copy | array.init_data | array.init_elem',
    text: `(module (type $b (array (mut i8))) (type $l (array (mut i64))) (type $r (array (mut funcref)))
      (memory 1) (data $d "abcdef") (elem $e func $f)
      (func $f (param $x (ref null $b)) (param $y (ref null $l)) (param $z (ref null $r)) (result i32)
        (local.set $x (array.new $b (i32.const 1) (i32.const 9)))
        (local.set $y (array.new_default $l (i32.const 9)))
        (local.set $x (array.new_fixed $b 3 (i32.const 1) (i32.const 2) (i32.const 3)))
        (local.set $x (array.new_data $b $d (i32.const 0) (i32.const 3)))
        (local.set $z (array.new_elem $r $e (i32.const 0) (i32.const 1)))
        (drop (array.get_s $b (local.get $x) (i32.const 0)))
        (drop (array.get_u $b (local.get $x) (i32.const 0)))
        (drop (array.get $l (local.get $y) (i32.const 0)))
        (array.set $l (local.get $y) (i32.const 0) (i64.const 7))
        (array.fill $l (local.get $y) (i32.const 0) (i64.const 7) (i32.const 1))
        (array.copy $l $l (local.get $y) (i32.const 0) (local.get $y) (i32.const 0) (i32.const 1))
        (array.init_data $b $d (local.get $x) (i32.const 0) (i32.const 0) (i32.const 1))
        (array.init_elem $r $e (local.get $z) (i32.const 0) (i32.const 0) (i32.const 1))
        (array.len (local.get $x))))`,
  },
  {
    names:
      'ref.test | ref.cast | br_on_cast | br_on_cast_fail | any.convert_extern | extern.convert_any | ref.i31 | i31.get_s | i31.get_u',
    text: `(module (type $s (struct))
      (func $f (param $a anyref) (param $x externref) (result i32)
        (local $s (ref null $s))
        (local.set $a (any.convert_extern (local.get $x)))
        (local.set $x (extern.convert_any (local.get $a)))
        (drop (ref.test (ref $s) (local.get $a)))
        (drop (ref.test (ref null $s) (local.get $a)))
        (local.set $s (ref.cast (ref $s) (local.get $a)))
        (local.set $s (ref.cast (ref null $s) (local.get $a)))
        (drop (block $l (result (ref null $s))
          (drop (br_on_cast $l anyref (ref null $s) (local.get $a)))
          (ref.null $s)))
        (drop (block $m (result anyref)
          (drop (br_on_cast_fail $m anyref (ref $s) (local.get $a)))
          (ref.null any)))
        (drop (i31.get_u (ref.i31 (i32.const 5))))
        (i31.get_s (ref.i31 (i32.const 5)))))`,
  },
];
