/**
 * Small modules, each for one thing that a capture has to get through: every construct that can stand
 * around a safepoint, every type that can lie beneath one, every kind of state.
 *
 * Each exports `_start`, which tells the host what it computes. Functions of the host: `say`, `say64`,
 * `say32f`, `say64f` take a number; `get` returns a small one; `pair` returns an i32 and an i64.
 */
export interface Construct {
  readonly name: string;
  /** Fields of the module, behind the imports. */
  readonly text: string;
}

const IMPORTS = `
  (import "host" "say" (func $say (param i32)))
  (import "host" "say64" (func $say64 (param i64)))
  (import "host" "say32f" (func $say32f (param f32)))
  (import "host" "say64f" (func $say64f (param f64)))
  (import "host" "get" (func $get (result i32)))
  (import "host" "pair" (func $pair (param i32) (result i32 i64)))`;

/** The text of a whole module. */
export function moduleText({ text }: Construct): string {
  return `(module ${IMPORTS} ${text})`;
}

export const CONSTRUCTS: readonly Construct[] = [
  {
    name: 'blocks with parameters and several results',
    text: `(func (export "_start") (local i64)
      i32.const 7 i64.const 8
      block (param i32 i64) (result i64 i32)
        call $get drop call $say64 call $say
        call $get call $pair
        i32.const 3
        block (param i32 i64 i32) (result i64 i32)
          call $say call $get drop
          call $get i32.eqz
          if (param i32 i64) (result i64 i32)
            i64.const 5 i64.add local.set 0 call $say call $get i64.extend_i32_u i32.const 2
          else
            call $say64 call $get i32.add call $say i64.const 9 i32.const 4 br 1
          end
        end
      end
      call $say call $say64)`,
  },
  {
    name: 'if without else, nested in both arms',
    text: `(func (export "_start") (local $i i32)
      (loop $l
        (if (i32.and (local.get $i) (i32.const 1))
          (then (call $say (local.get $i))
            (if (i32.and (local.get $i) (i32.const 2)) (then (call $say (call $get)))))
          (else
            (if (i32.and (local.get $i) (i32.const 4))
              (then (call $say (i32.add (call $get) (call $get))))
              (else (call $say (i32.const -1))))
            (call $say (i32.const 77))))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 9)))))`,
  },
  {
    name: 'if with parameters, a site in each arm and behind',
    text: `(func $f (param i32) (result i32)
        i32.const 100 i64.const 3 local.get 0
        if (param i32 i64) (result i32)
          drop call $get i32.add call $get i32.mul
        else
          i32.wrap_i64 call $get i32.sub i32.add call $get i32.xor
        end
        call $get i32.add)
      (func (export "_start") (call $say (call $f (i32.const 0))) (call $say (call $f (i32.const 1))))`,
  },
  {
    name: 'loops with parameters',
    text: `(global $left (mut i32) (i32.const 4))
      (func $step (param i32 i64 i32) (result i32 i64 i32 i32)
        (global.set $left (i32.sub (global.get $left) (i32.const 1)))
        (i32.add (local.get 0) (call $get)) (local.get 1) (local.get 2) (global.get $left))
      (func (export "_start")
        i32.const 5 i64.const 1 i32.const 6
        loop $l (param i32 i64 i32) (result i32 i64)
          call $say
          i64.const 3 i64.mul
          i32.const 1 call $pair call $say64 drop
          call $get drop
          i32.const 11
          call $step
          br_if $l
          drop
        end
        call $say64 call $say)`,
  },
  {
    name: 'strip-mined loops: br, br_if and br_table, in and out',
    text: `(func $mine (param $n i32) (result i32) (local $i i32) (local $sum i32)
        block $out
          loop $l
            local.get $i local.get $n i32.ge_u br_if $out
            local.get $sum local.get $i i32.add local.set $sum
            local.get $i i32.const 1 i32.add local.set $i
            block $b1 block $b2
              local.get $i i32.const 3 i32.rem_u br_table $l $b1 $b2
            end
              local.get $i i32.const 5 i32.rem_u br_if $l
            end
            br $l
          end
        end
        local.get $sum)
      (func (export "_start") (local $i i32)
        (loop $l
          (call $say (call $mine (i32.mul (local.get $i) (i32.const 150))))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8)))))`,
  },
  {
    name: 'strip-mined loops with results, values beneath and early ends',
    text: `(func $f (param $n i32) (result i32) (local $i i32)
        i32.const 1000
        i64.const 5
        loop $l (result i32)
          local.get $i i32.const 1 i32.add local.tee $i local.get $n i32.lt_u br_if $l
          local.get $i
        end
        call $say
        call $say64
        loop (result i32) i32.const 3 i32.const 4 i32.add end
        i32.add
        loop $r (result i32)
          block
            local.get $i i32.const 1 i32.sub local.tee $i br_if 0
            local.get $n return
          end
          local.get $i i32.const 100 i32.gt_u br_if $r
          local.get $i
        end
        i32.add)
      (func (export "_start") (call $say (call $f (i32.const 700))) (call $say (call $f (i32.const 1))))`,
  },
  {
    name: 'nested loops, left from within',
    text: `(func (export "_start") (local $i i32) (local $j i32) (local $k i32)
      (block $out
        (loop $a
          (local.set $j (i32.const 0))
          (loop $b
            (local.set $k (i32.const 0))
            (loop $c
              (br_if $c (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 300)))
              (br_if $b (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 3)))
              (call $say (local.get $j))
              (br_if $a (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4)))
              (br_if $out (i32.eq (local.get $i) (i32.const 4)))
              (br $c)))))
      (call $say (local.get $k)))`,
  },
  {
    name: 'loops whose bodies end dead',
    text: `(func (export "_start") (local $i i32)
      (block $done
        (loop $l
          (call $say (local.get $i))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $done (i32.gt_u (local.get $i) (i32.const 5)))
          (br $l)
          (call $say (i32.const 99))
          (loop $dead (call $say (i32.const 98)) (br $dead))))
      (loop $m (result i32)
        (block $b
          (br_table $b $m $b (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (br_if $m (local.get $i))
        (return (call $say (local.get $i)))
        (if (result i32) (i32.const 1) (then (unreachable)) (else (i32.const 4))))
      (call $say))`,
  },
  {
    name: 'values of every type beneath a call',
    text: `(elem declare func $callee)
      (func $callee (result i32) (i32.const 55))
      (type $get_i32 (func (result i32)))
      (table $t 1 funcref)
      (func $f (param $r funcref) (local v128)
        i32.const 1
        i64.const 0x123456789abcdef0
        f32.const nan:0x200001
        f64.const -nan:0x4000000000001
        v128.const i32x4 0x7fa00001 0x80000000 3 -4
        ref.func $callee
        ref.null func
        local.get $r
        call $get call $say
        i32.const 0 call $put
        ref.is_null call $say
        i32.const 0 call $put
        (call_indirect (type $get_i32) (i32.const 0)) call $say
        call $get call $say
        local.set 1
        (i64x2.extract_lane 0 (local.get 1)) call $say64
        (i64x2.extract_lane 1 (local.get 1)) call $say64
        call $get call $say
        i64.reinterpret_f64 call $say64
        call $get call $say
        i32.reinterpret_f32 call $say
        call $say64
        call $say)
      (func $put (param funcref i32) (table.set $t (local.get 1) (local.get 0)))
      (func (export "_start") (call $f (ref.func $callee)))`,
  },
  {
    name: 'locals of every type over a loop',
    text: `(elem declare func $callee)
      (func $callee)
      (table $t 1 funcref)
      (func (export "_start")
        (local $i i32) (local i64 f32 f64 v128 funcref externref)
        (local.set 1 (i64.const -2))
        (local.set 2 (f32.reinterpret_i32 (i32.const 0xffa12345)))
        (local.set 3 (f64.reinterpret_i64 (i64.const 0x7ff0000000000123)))
        (local.set 4 (v128.const i64x2 0x1122334455667788 -1))
        (local.set 5 (ref.func $callee))
        (loop $l
          (call $say (local.get $i))
          (local.set 1 (i64.rotl (local.get 1) (i64.const 9)))
          (local.set 4 (i64x2.add (local.get 4) (local.get 4)))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4))))
        (call $say64 (local.get 1))
        (call $say (i32.reinterpret_f32 (local.get 2)))
        (call $say64 (i64.reinterpret_f64 (local.get 3)))
        (call $say64 (i64x2.extract_lane 0 (local.get 4)))
        (call $say64 (i64x2.extract_lane 1 (local.get 4)))
        (table.set $t (i32.const 0) (local.get 5))
        (call_indirect (i32.const 0))
        (call $say (ref.is_null (local.get 6))))`,
  },
  {
    name: 'select beneath and above sites',
    text: `(func (export "_start")
      (call $say (select (call $get) (call $get) (call $get)))
      (call $say64f (select (f64.const 1.5) (f64.const -0) (call $get)))
      (i64.const 4) (i64.const 5) (call $get) select (call $get) drop call $say64
      (call $say (ref.is_null (select (result funcref) (ref.null func) (ref.null func) (call $get)))))`,
  },
  {
    name: 'calls with several results, of which some lie beneath a site',
    text: `(func $three (result i32 i64 f32)
        (call $get) (i64.extend_i32_u (call $get)) (f32.const 2.5) (call $say (i32.const 3)))
      (func (export "_start")
        i64.const 1
        call $three
        call $say32f
        call $get drop
        call $say64
        call $get call $say
        call $say
        call $three drop
        call $pair_of_pair
        call $say64 call $say call $say64 call $say
        call $say64)
      (func $pair_of_pair (param i32 i64) (result i32 i64 i32 i64)
        local.get 0 call $pair i32.const 2 call $pair)`,
  },
  {
    name: 'tail calls, also of an import, directly and through a table',
    text: `(type $void (func (param i32)))
      (type $number (func (result i32)))
      (table 4 funcref) (elem (i32.const 0) $say $down $get $number_by_table)
      (func $down (param i32)
        (if (i32.eqz (local.get 0)) (then (return_call $say (i32.const -1))))
        (call $say (local.get 0))
        (if (i32.and (local.get 0) (i32.const 1))
          (then (return_call $down (i32.sub (local.get 0) (i32.const 1)))))
        (return_call_indirect (type $void) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
      (func $number (result i32) (return_call $get))
      (func $number_by_table (result i32) (return_call_indirect (type $number) (i32.const 2)))
      (func $last (param i32) (return_call_indirect (type $void) (local.get 0) (i32.const 0)))
      (func (export "_start")
        (call $down (i32.const 6))
        (call $say (i32.add (call $number) (call $number_by_table)))
        (call $say (call_indirect (type $number) (i32.const 3)))
        (call $last (i32.const 44))
        (return_call $last (i32.const 45)))`,
  },
  {
    name: 'imports called through a table',
    text: `(type $void (func (param i32))) (type $pair_type (func (param i32) (result i32 i64)))
      (table 3 funcref) (elem (i32.const 0) $say $get $pair)
      (func (export "_start")
        (call_indirect (type $void) (i32.const 5) (i32.const 0))
        (call_indirect (result i32) (i32.const 1))
        (call_indirect (type $pair_type) (i32.const 3) (i32.const 2))
        call $say64 call $say call $say)`,
  },
  {
    name: 'an entry that is an import',
    text: `(export "_start" (func $leave)) (func $leave (return_call $say (i32.const 3)))`,
  },
  {
    name: 'memory that grows within its own bounds',
    text: `(memory (export "memory") 1 6)
      (func (export "_start") (local $i i32)
        (loop $l
          (call $say (memory.grow (i32.const 1)))
          (i32.store (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)) (local.get $i))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
        (call $say (memory.grow (i32.const -1)))
        (call $say (memory.size)))`,
  },
  {
    name: 'tables that grow and change',
    text: `(table $t 2 20 funcref) (table $u 8 funcref) (table $x 1 8 externref)
      (elem $e func $a $b $c) (elem (table $u) (i32.const 0) func $a $c)
      (elem declare func $b)
      (func $a (result i32) (i32.const 1))
      (func $b (result i32) (call $get))
      (func $c (result i32) (i32.add (call $get) (i32.const 10)))
      (func $tell (param i32)
        (if (ref.is_null (table.get $t (local.get 0)))
          (then (call $say (i32.const -1)))
          (else (call $say (call_indirect $t (result i32) (local.get 0))))))
      (func (export "_start") (local $i i32)
        (table.init $t $e (i32.const 0) (i32.const 1) (i32.const 1))
        (call $tell (i32.const 0))
        (call $say (table.grow $t (ref.func $b) (i32.const 3)))
        (call $tell (i32.const 4))
        (table.fill $t (i32.const 1) (ref.null func) (i32.const 2))
        (call $tell (i32.const 1))
        (table.copy $t $u (i32.const 2) (i32.const 0) (i32.const 2))
        (call $tell (i32.const 3))
        (table.init $u $e (i32.const 3) (i32.const 0) (i32.const 3))
        (elem.drop $e)
        (call $say (call_indirect $u (result i32) (i32.const 5)))
        (table.set $t (i32.const 0) (ref.func $b))
        (call $say (table.grow $x (ref.null extern) (i32.const 2)))
        (call $say (table.size $x))
        (loop $l
          (call $tell (local.get $i))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (table.size $t))))
        (call $say (table.grow $t (ref.null func) (i32.const 100)))
        (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)))`,
  },
  {
    name: 'passive data, used and dropped',
    text: `(memory 1) (data $d "hello, passive data") (data $unused "x")
      (func (export "_start")
        (memory.init $d (i32.const 8) (i32.const 0) (i32.const 8))
        (call $say (i32.load (i32.const 8)))
        (memory.init $d (i32.const 100) (i32.const 7) (i32.const 4))
        (data.drop $d)
        (call $say (i32.load (i32.const 100)))
        (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
        (call $say (i32.const 1))
        (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))`,
  },
  {
    name: 'globals of every type',
    text: `(elem declare func $f)
      (global $a (mut i32) (i32.const 1)) (global $b (mut i64) (i64.const 2))
      (global $c (mut f32) (f32.const 3)) (global $d (mut f64) (f64.const 4))
      (global $v (mut v128) (v128.const i32x4 1 2 3 4)) (global $r (mut funcref) (ref.null func))
      (global $k i32 (i32.const 9)) (global $g (mut funcref) (ref.func $f))
      (global $x (mut externref) (ref.null extern))
      (table $t 1 funcref)
      (func $f (call $say (i32.const 123)))
      (func (export "_start") (local $i i32)
        (loop $l
          (global.set $a (i32.add (global.get $a) (call $get)))
          (global.set $b (i64.mul (global.get $b) (i64.const -3)))
          (global.set $c (f32.reinterpret_i32 (i32.const 0x7f812345)))
          (global.set $d (f64.reinterpret_i64 (i64.const 0xfff8000000000042)))
          (global.set $v (i32x4.add (global.get $v) (global.get $v)))
          (if (i32.eq (local.get $i) (i32.const 2))
            (then (global.set $r (ref.func $f)) (global.set $g (ref.null func))))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
        (call $say (i32.add (global.get $a) (global.get $k))) (call $say64 (global.get $b))
        (call $say (i32.reinterpret_f32 (global.get $c)))
        (call $say64 (i64.reinterpret_f64 (global.get $d)))
        (call $say (i32x4.extract_lane 3 (global.get $v)))
        (call $say (ref.is_null (global.get $g)))
        (call $say (ref.is_null (global.get $x)))
        (table.set $t (i32.const 0) (global.get $r))
        (call_indirect (i32.const 0)))`,
  },
  {
    name: 'a start function with loops and calls',
    text: `(global $n (mut i32) (i32.const 0))
      (func $init (local $i i32)
        (loop $l
          (call $say (i32.const 1000))
          (global.set $n (i32.add (global.get $n) (call $get)))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4)))))
      (start $init)
      (func (export "_start") (call $say (global.get $n)) (call $init) (call $say (global.get $n)))`,
  },
  {
    name: 'recursion without loops',
    text: `(func $fib (param i32) (result i32)
        (if (i32.lt_u (local.get 0) (i32.const 2)) (then (return (local.get 0))))
        (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
          (call $fib (i32.sub (local.get 0) (i32.const 2)))))
      (func (export "_start") (call $say (call $fib (i32.const 9))))`,
  },
  {
    name: 'mutual recursion through tables',
    text: `(type $f (func (param i32) (result i32)))
      (table 2 funcref) (elem (i32.const 0) $even $odd)
      (func $even (type $f)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
        (call_indirect (type $f) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
      (func $odd (type $f)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (i32.xor (i32.const 0)
          (call_indirect (type $f) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))
      (func (export "_start") (call $say (call $even (i32.const 21))) (call $say (call $odd (i32.const 12))))`,
  },
  {
    name: 'dead code of all kinds',
    text: `(func $f (param i32) (result i32)
        block (result i32)
          block
            local.get 0 br_table 0 0
            drop drop i64.add drop if i32.const 1 drop else unreachable end
            block br 0 end
          end
          local.get 0 i32.const 3 i32.gt_u
          if (result i32)
            unreachable
            f32.add drop select call $get i32.add
          else
            call $get
            br 1
            call $get loop (param i32) call $say end i64.const 0 drop
          end
        end
        call $get i32.add
        return
        unreachable
        call $say)
      (func (export "_start") (call $say (call $f (i32.const 1))) (call $say (call $f (i32.const 2)))
        (drop (call $f (i32.const 9))))`,
  },
  {
    name: 'traps behind a site',
    text: `(memory 1)
      (func (export "_start") (local $i i32)
        (loop $l
          (call $say (i32.div_u (i32.const 100) (i32.sub (i32.const 3) (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $l)))`,
  },
  {
    name: 'branches over values and constructs around a site',
    text: `(func $f (param $n i32) (result i32 i64)
        i32.const 8
        block $a (result i32 i64)
          i32.const 1 i64.const 2
          block $b (param i32 i64)
            call $say64 call $say
            loop $c
              i32.const 5 i64.const 6
              local.get $n br_if $a
              drop drop
              call $get drop
              local.get $n i32.const 1 i32.sub local.tee $n
              i32.const -3 i32.gt_s br_if $c
              call $get drop local.get $n br_table $b $b
            end
          end
          call $get call $pair
        end
        call $say64
        i32.add
        i64.const 3)
      (func (export "_start")
        (call $f (i32.const 0)) (call $say64) (call $say)
        (call $f (i32.const 1)) (call $say64) (call $say))`,
  },
  {
    name: 'several memories, one of them grown',
    text: `(memory $a 1) (memory $b 1 9) (data (i32.const 4) "abcd") (data $d "efgh")
      (func (export "_start")
        (call $say (i32.load $a (i32.const 4)))
        (i32.store $a (i32.const 70) (call $get))
        (call $say (memory.grow $b (i32.const 2)))
        (memory.copy $b $a (i32.const 131072) (i32.const 70) (i32.const 4))
        (call $say (i32.load $b (i32.const 131072)))
        (memory.init $b $d (i32.const 8) (i32.const 0) (i32.const 4))
        (call $say (i32.load $b (i32.const 8)))
        (call $say (i32.add (memory.size $a) (i32.mul (i32.const 100) (memory.size $b)))))`,
  },
  {
    name: 'a memory of 64 bits',
    text: `(memory i64 1 4) (data $d "efgh")
      (func (export "_start") (local $i i64)
        (loop $l
          (call $say64 (memory.grow (i64.const 1)))
          (i64.store (i64.sub (i64.shl (memory.size) (i64.const 16)) (i64.const 8)) (local.get $i))
          (memory.init $d (i64.const 100) (i32.const 0) (i32.const 4))
          (br_if $l (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const 5))))
        (call $say64 (memory.size))
        (call $say64 (i64.load (i64.const 131064))))`,
  },
  {
    name: 'a table of 64 bits',
    text: `(table $t i64 1 5 funcref) (elem $e func $f $get)
      (func $f (result i32) (call $get))
      (func (export "_start")
        (table.init $t $e (i64.const 0) (i32.const 0) (i32.const 1))
        (call $say (call_indirect $t (result i32) (i64.const 0)))
        (call $say64 (table.grow $t (ref.func $f) (i64.const 2)))
        (call $say (call_indirect $t (result i32) (i64.const 2)))
        (table.set $t (i64.const 2) (ref.func $get))
        (call $say (call_indirect $t (result i32) (i64.const 2)))
        (call $say64 (table.size $t)))`,
  },
  {
    name: 'many loops and sites in one function',
    text: `(func (export "_start") (local $i i32)
      ${Array.from(
        { length: 40 },
        (_, index) => `
        (local.set $i (i32.const ${index % 7}))
        i32.const ${index}
        (loop $l (if (local.get $i)
          (then (local.set $i (i32.sub (local.get $i) (i32.const 1)))
            ${index % 3 === 0 ? '(call $say (local.get $i))' : ''} (br $l))))
        call $say`,
      ).join('')})`,
  },
  {
    name: 'a thousand locals of all types',
    text: `(func (export "_start") (local ${'i32 i64 f32 f64 v128 '.repeat(200)})
      ${Array.from(
        { length: 200 },
        (_, index) => `(local.set ${index * 5} (i32.const ${index}))
          (local.set ${index * 5 + 1} (i64.const ${-index}))
          (local.set ${index * 5 + 3} (f64.const ${index}.5))`,
      ).join('')}
      (call $say (call $get))
      (call $say (local.get 995)) (call $say64 (local.get 501)) (call $say64f (local.get 253)))`,
  },
  {
    name: 'atomic instructions on a memory of its own',
    text: `(memory 1)
      (func (export "_start") (local $i i32)
        (loop $l
          (call $say (i32.atomic.rmw.add (i32.const 8) (call $get)))
          (atomic.fence)
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4))))
        (call $say (memory.atomic.notify (i32.const 8) (i32.const 1)))
        (call $say (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const 1))))`,
  },
  {
    name: 'tags that nothing uses',
    text: `(tag $t (param i32)) (tag $u)
      (func (export "_start") (call $say (call $get)) (call $say (call $get)))`,
  },
  {
    name: 'a start function that ends with a tail call, and is an entry as well',
    text: `(global $n (mut i32) (i32.const 0))
      (func $tail (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $say (global.get $n)))
      (func $init (export "_start") (call $say (i32.const 5)) (return_call $tail))
      (start $init)`,
  },
];
