# shellcheck shell=bash
# The test programs: built at once, run some beside each other, and counted.
# Needs steps.sh, and $work, a folder.

# So many run at the same time, for most tests wait more than they compute. Those that need the machine to themselves take
# turns, wherever they are: tests/support/turn.rs.
readonly LANES=2

# The order in which they start: what takes longest first, but those after each other whose tests take turns, and last what
# needs the release build. `-` is all others.
readonly ORDER='signals distribution nvenc behaviour producers hangs inputs mpegts neighbours real doctor shaders - readme'

# Keeps every core busy by itself, so nothing runs beside it: others have a second for what they do.
readonly BUSY=signals

# build_tests: with the examples.
build_tests() {
    cargo test --workspace --locked --no-run 2>&1 | tee "$work/built.log"
}

# programs: the names of all, in that order, as they were built. `unit` is the tests within the sources, `doc` those within
# their documentation.
programs() {
    {
        sed -n 's|^ *Executable tests/.*/\([^/]*\)-[0-9a-f]*)$|\1|p' "$work/built.log" | sort -u
        printf '%s\n' unit doc
    } | awk -v order="$ORDER" '
        BEGIN { for (i = split(order, name, " "); i > 0; i--) rank[name[i]] = i }
        { print ($1 in rank ? rank[$1] : rank["-"]), $1 }' | sort -s -n -k 1,1 | cut -d ' ' -f 2
}

# run_program NAME: its output and its times go to files of this name.
run_program() {
    local TIMEFORMAT='%R s, and %U + %S s of CPU time'
    local -a which
    case $1 in
        unit) which=(--lib --bins) ;;
        doc) which=(--doc) ;;
        *) which=(--test "$1") ;;
    esac
    { time cargo test --workspace --locked --no-fail-fast "${which[@]}" >"$work/$1.log" 2>&1; } 2>"$work/$1.time"
}

# run_tests: all that build_tests has built. The output of each comes when it has ended.
run_tests() {
    local -a waiting
    local -A running=()
    local name pid code failed=0
    # Not those of the script, which wait for the same cores.
    background=()
    trap end_background EXIT
    mapfile -t waiting < <(programs)
    while ((${#waiting[@]} + ${#running[@]})); do
        while ((${#waiting[@]} && ${#running[@]} < LANES)); do
            if ((${#running[@]})) && [[ " ${waiting[0]} ${running[*]} " == *" $BUSY "* ]]; then
                break
            fi
            in_background run_program "${waiting[0]}"
            running[$!]=${waiting[0]}
            waiting=("${waiting[@]:1}")
        done
        code=0
        wait -n -p pid "${!running[@]}" || code=$?
        name=${running[$pid]}
        unset "running[$pid]"
        ((code == 0)) || failed=1
        cat "$work/$name.log"
        printf '    %s: %s\n' "$name" "$(tail -n 1 "$work/$name.time")"
        # For counting.
        cat "$work/$name.log" >>"$work/tests.log"
    done
    check_all_ran
    ((failed == 0))
}

# check_all_ran: whether cargo has run each that it had built. With --lib it also runs libraries that have no tests.
check_all_ran() {
    local missing
    missing=$(comm -23 <(paths Executable "$work/built.log") <(paths Running "$work/tests.log"))
    [[ -z $missing ]] || die "test programs that were built and have not run:" "$missing"
}

# paths WORD LOG: of the programs in lines such as "Running tests/real/main.rs (target/debug/deps/real-0123)".
paths() {
    sed -n "s/^ *$1 .*(\(.*\))\$/\1/p" "$2" | sort -u
}

# total WORD: adds up what they said of themselves: "test result: ok. 12 passed; 0 failed; …".
total() {
    sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$work/tests.log" 2>/dev/null |
        awk '{ sum += $1 } END { print sum + 0 }'
}
