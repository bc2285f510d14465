;; block-parameters: proves that blocks, loops and ifs with parameters and several results come
;; back, with operands waiting on the stack below a call: what no C compiler writes, but any
;; optimiser may.
;;
;; Every 200,000th step prints a line. Each value is computed a second time with plain locals.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; 0: iovec, 8: bytes written, 32: the line of $tick, 64: texts
  (data (i32.const 32) "step 0000000000000000\n")
  (data (i32.const 64) "differs: a value\n")
  (data (i32.const 96) "ok block-parameters\n")
  (global $ticks (mut i64) (i64.const 0))

  (func $say (param $text i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 2)))))

  (func $same (param $got i64) (param $want i64)
    (if (i64.ne (local.get $got) (local.get $want))
      (then
        (call $say (i32.const 64) (i32.const 17))
        (call $proc_exit (i32.const 1)))))

  ;; Counts a step; every 200,000th is printed, in hexadecimal.
  (func $tick (local $at i32) (local $left i64) (local $digit i32)
    (global.set $ticks (i64.add (global.get $ticks) (i64.const 1)))
    (if (i64.ne (i64.rem_u (global.get $ticks) (i64.const 200000)) (i64.const 0)) (then (return)))
    (local.set $left (global.get $ticks))
    (local.set $at (i32.const 52))
    (loop $digits
      (local.set $digit (i32.and (i32.wrap_i64 (local.get $left)) (i32.const 15)))
      (i32.store8 (local.get $at)
        (i32.add (local.get $digit)
          (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (local.set $left (i64.shr_u (local.get $left) (i64.const 4)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $digits (i32.ge_u (local.get $at) (i32.const 37))))
    (call $say (i32.const 32) (i32.const 22)))

  ;; (a, b) to (b, a + b).
  (func $pair_step (param $a i64) (param $b i64) (result i64 i64)
    (local.get $b)
    (call $tick)
    (i64.add (local.get $a) (local.get $b)))

  ;; The n-th Fibonacci number (n > 0), its state only on the operand stack.
  (func $fibonacci (param $n i32) (result i64)
    i64.const 0
    i64.const 1
    local.get $n
    loop $again (param i64 i64 i32) (result i64 i64 i32)
      local.set $n
      call $pair_step
      local.get $n
      i32.const 1
      i32.sub
      local.tee $n
      local.get $n
      br_if $again
    end
    drop
    drop)

  (func $fibonacci_by_locals (param $n i32) (result i64)
    (local $a i64) (local $b i64) (local $c i64)
    (local.set $b (i64.const 1))
    (loop $again
      (local.set $c (i64.add (local.get $a) (local.get $b)))
      (local.set $a (local.get $b))
      (local.set $b (local.get $c))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $a))

  ;; Steps of the Collatz sequence from $number down to 1, with an if that has a parameter.
  (func $collatz (param $number i64) (result i64) (local $steps i64)
    local.get $number
    loop $again (param i64) (result i64)
      local.tee $number
      local.get $number
      i64.const 1
      i64.and
      i32.wrap_i64
      if (param i64) (result i64)
        i64.const 3
        i64.mul
        call $tick
        i64.const 1
        i64.add
      else
        call $tick
        i64.const 1
        i64.shr_u
      end
      local.get $steps
      i64.const 1
      i64.add
      local.set $steps
      local.tee $number
      local.get $number
      i64.const 1
      i64.ne
      br_if $again
    end
    drop
    local.get $steps)

  (func $collatz_by_locals (param $number i64) (result i64) (local $steps i64)
    (loop $again
      (if (i64.eqz (i64.and (local.get $number) (i64.const 1)))
        (then (local.set $number (i64.shr_u (local.get $number) (i64.const 1))))
        (else
          (local.set $number (i64.add (i64.mul (local.get $number) (i64.const 3)) (i64.const 1)))))
      (local.set $steps (i64.add (local.get $steps) (i64.const 1)))
      (br_if $again (i64.ne (local.get $number) (i64.const 1))))
    (local.get $steps))

  ;; Operands of four types wait below a call; br_table carries two of them out.
  (func $branch (param $which i32) (result i64) (local $whole i64) (local $half f64)
    i32.const 7
    f32.const 0.25
    block $third (result i64 f64)
      block $second (result i64 f64)
        block $first (result i64 f64)
          i64.const 1000
          f64.const 0.5
          call $tick
          local.get $which
          br_table $first $second $third
        end
        ;; first: (1000, 0.5) becomes (2000, 0.5)
        local.set $half
        i64.const 2
        i64.mul
        local.get $half
        call $tick
      end
      ;; first and second: the float is doubled
      f64.const 2
      f64.mul
    end
    ;; all: 7 and 0.25 still wait below
    local.set $half
    local.set $whole
    call $tick
    f64.promote_f32
    local.get $half
    f64.add
    f64.const 100
    f64.mul
    i64.trunc_f64_s
    local.get $whole
    i64.add
    local.set $whole
    i64.extend_i32_u
    local.get $whole
    i64.mul)

  (func (export "_start") (local $round i32) (local $number i64)
    (loop $rounds
      (call $same
        (call $fibonacci (i32.add (i32.rem_u (local.get $round) (i32.const 60)) (i32.const 20)))
        (call $fibonacci_by_locals
          (i32.add (i32.rem_u (local.get $round) (i32.const 60)) (i32.const 20))))
      (local.set $number (i64.extend_i32_u (i32.add (local.get $round) (i32.const 2))))
      (call $same (call $collatz (local.get $number)) (call $collatz_by_locals (local.get $number)))
      ;; 7 * (2000 + 125), 7 * (1000 + 125), 7 * (1000 + 75)
      (call $same (call $branch (i32.const 0)) (i64.const 14875))
      (call $same (call $branch (i32.const 1)) (i64.const 7875))
      (call $same (call $branch (i32.const 2)) (i64.const 7525))
      (br_if $rounds
        (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 40000))))
    (call $say (i32.const 96) (i32.const 20))))
