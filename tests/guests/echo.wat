;; Says what it sees of the first step: `t`, `i`, `o` and for each 1 where it is there, 0 where it is withheld.
(module
  (memory (export "memory") 1)
  ;; the description at 16: name, version, summary; nothing read, nothing listed, no schema
  (data (i32.const 16) "\80\00\00\00\04\00\00\00\c0\00\00\00\05\00\00\00\80\00\00\00\04\00\00\00")
  (data (i32.const 128) "echo")
  (data (i32.const 192) "1.0.0")
  (data (i32.const 512) "TEAM_VERDICT")
  (data (i32.const 576) "sees t? i? o?   ")
  (global $next (mut i32) (i32.const 4096))
  ;; a bump allocator: nothing is ever freed, an instance does not live that long
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.const 16))))
    (local.get $at))
  (func (export "describe") (result i32) (i32.const 16))
  ;; 96 holds zeros: the result `ok`
  (func (export "configure") (param i32 i32) (result i32) (i32.const 96))
  (func (export "classify") (param i32) (result i32)
    (local $step i32)
    ;; a trace holds its steps at 76; a step its timestamp at 20, its input at 32, its output at 44
    (local.set $step (i32.load (i32.add (local.get 0) (i32.const 76))))
    (i32.store8 (i32.const 582) (i32.add (i32.const 48) (i32.load8_u (i32.add (local.get $step) (i32.const 20)))))
    (i32.store8 (i32.const 585) (i32.add (i32.const 48) (i32.load8_u (i32.add (local.get $step) (i32.const 32)))))
    (i32.store8 (i32.const 588) (i32.add (i32.const 48) (i32.load8_u (i32.add (local.get $step) (i32.const 44)))))
    ;; the result at 256: ok, a list of one verdict at 320
    (i32.store (i32.const 260) (i32.const 320))
    (i32.store (i32.const 264) (i32.const 1))
    ;; the verdict: classification, confidence, no reason, no rule, no step, explanation
    (i32.store (i32.const 320) (i32.const 512))
    (i32.store (i32.const 324) (i32.const 12))
    (f64.store (i32.const 328) (f64.const 0.95))
    (i32.store (i32.const 368) (i32.const 576))
    (i32.store (i32.const 372) (i32.const 16))
    (i32.const 256)))
