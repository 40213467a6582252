# gpu_test.sh: what comparisons of runs on a GPU share. Sourced with the arguments of train_test.sh.
. "$(dirname "$0")/../train/train_test.sh"
gpu="--set train.device=gpu"
cpu="--set train.device=cpu"

# config NAME LAYERS OPTIMIZER: small enough for an emulated GPU.
config() {
    cat >"$1.cfg" <<END
data = { format = "digits"; train_samples = 1200; test_samples = 50; };
model = { input = [1, 28, 28]; layers = ( $2, { type = "dense"; units = 10; } ); };
train = { batch = 24; epochs = 4; seed = 3; optimizer = { type = $3; }; };
END
}
config dense '{ type = "dense"; units = 24; activation = "relu"; }' '"sgd"; lr = 0.05; momentum = 0.9'
config conv '{ type = "conv2d"; filters = 3; kernel = 5; stride = 3; bias = false; },
{ type = "batch_norm"; activation = "relu"; }, { type = "dropout"; rate = 0.2; }' '"sgd"; lr = 0.05; clip_norm = 2.0'

# near A B WITHIN: the losses of the steps that both runs have lines of. $apart becomes how far they are apart at most.
near() {
    apart=$(awk -F, '
        FNR == 1 { next }
        NR == FNR { loss[$1] = $3; next }
        $1 in loss { d = loss[$1] - $3; d = d < 0 ? -d : d; n++; if (!(d <= worst)) worst = d }
        END { if (n < 3) exit 1; printf "%.3g\n", worst }
    ' "$1/steps.csv" "$2/steps.csv") || { fail "$1 and $2 have less than three steps in common"; apart=nan; return; }
    awk -v worst="$apart" -v within="$3" 'BEGIN { exit !(worst + 0 <= within + 0 && worst !~ /nan/) }' ||
        fail "losses of $1 and $2 are up to $apart apart"
}

# comm_is DIR KIND: what the ranks reduced with, whatever the configuration asked for.
comm_is() {
    grep -q "^  \"comm\": \"$2\"" "$1/run.json" || fail "$1: comm is not $2"
}
