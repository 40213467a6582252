/* What does not depend on the experiment: the style sheet and the definitions. */
#include "report_html.h"

const char report_html_style[] =
    ":root{--ink:#1c2128;--soft:#57606a;--page:#ffffff;--card:#f4f6f8;--line:#d5dae0;--accent:#0072b2;--warn:#b35900}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b1;--page:#14181d;--card:#1e242b;--line:#38414b;"
    "--accent:#56b4e9;--warn:#e69f00}}\n"
    "*{box-sizing:border-box}\n"
    "html{color-scheme:light dark;-webkit-text-size-adjust:100%}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif;overflow-wrap:anywhere}\n"
    "main{max-width:64rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}\n"
    "header p{margin:0;color:var(--soft)}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0 1.2rem}\n"
    "h2{font-size:1.25rem;margin:2.4rem 0 .6rem}\n"
    "h3{font-size:1rem;margin:0}\n"
    "p{margin:.4rem 0}\n"
    ".verdict>p{font-size:1.25rem;line-height:1.45;margin:0 0 1.2rem;max-width:48rem}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem}\n"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}\n"
    ".tile strong{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}\n"
    ".tile span,.tile small{display:block}\n"
    "small,.fine{color:var(--soft);font-size:.85rem}\n"
    "aside{border-left:.3rem solid var(--warn);background:var(--card);padding:.7rem 1rem;margin:1.4rem 0;"
    "border-radius:0 .5rem .5rem 0}\n"
    "aside h2{font-size:1rem;margin:0}\n"
    "aside ul{margin:.3rem 0;padding-left:1.2rem}\n"
    ".pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.2rem;"
    "margin-top:1.6rem}\n"
    "figure{margin:0;max-width:40rem}\n"
    "section>figure{max-width:34rem;margin:1rem 0 1.4rem}\n"
    "figure svg{display:block;width:100%;height:auto;background:#fff;border:1px solid "
    "var(--line);border-radius:.5rem}\n"
    "figcaption{color:var(--soft);font-size:.9rem;margin-top:.4rem}\n"
    ".scroll{overflow-x:auto}\n"
    "table{overflow-wrap:normal;border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{text-align:right;padding:.35rem .9rem;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "th:first-child,td:first-child{padding-left:.2rem}\n"
    "th{font-weight:600;font-size:.9rem;vertical-align:bottom}\n"
    "td small{display:block;white-space:nowrap}\n"
    "tr.out{color:var(--soft)}\n"
    ".causes{list-style:none;margin:.8rem 0;padding:0}\n"
    ".causes li{margin:0 0 1.1rem}\n"
    ".bar{background:var(--card);border-radius:.25rem;height:.6rem;margin:.25rem 0;max-width:40rem}\n"
    ".bar i{display:block;height:100%;min-width:2px;background:var(--accent);border-radius:.25rem}\n"
    "dl{margin:.4rem 0}\n"
    "dt{font-weight:600;margin-top:.7rem}\n"
    "dd{margin:0}\n"
    ".facts{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.15rem 1.2rem}\n"
    ".facts dt{margin:0;font-weight:400;color:var(--soft)}\n"
    "code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85rem}\n"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;overflow-x:auto}\n"
    ".formula{white-space:nowrap;font-style:italic}\n"
    "summary{cursor:pointer;margin:.5rem 0}\n"
    "@media print{:root{--ink:#000;--soft:#444;--page:#fff;--card:#fff;--line:#bbb;--accent:#0072b2;--warn:#b35900}"
    "body{font-size:11pt}main{max-width:none;padding:0}figure,.causes li,tr,.tile,aside{break-inside:avoid}"
    "h2{break-after:avoid}.scroll,pre{overflow:visible}pre{white-space:pre-wrap}}\n";

static void put(FILE *to, const char *name, const char *text)
{
    fprintf(to, "<dt>%s</dt><dd>%s</dd>\n", name, text);
}

static void put_strong(FILE *to)
{
    put(to, "Speedup, S",
        "How many times as fast a step is: its length on one worker over its length on n workers. <span "
        "class=\"formula\">S(n) = T(1) / T(n)</span>");
    put(to, "Efficiency, E",
        "The share of each worker that is put to use: the speedup over the number of workers. 100 % is the ideal; at "
        "50 % half of what is paid for is lost. <span class=\"formula\">E(n) = S(n) / n</span>");
    put(to, "Amdahl's law, parallel fraction p, serial fraction 1-p",
        "Of a step on one worker the share p gets n times as fast on n workers, and the rest, 1-p, does not get faster "
        "at all. <span class=\"formula\">S(n) = 1 / ((1-p) + p/n)</span>, so that even with any number of workers "
        "<span class=\"formula\">S &le; 1 / (1-p)</span>. p is fitted to T(n) by least squares, each point weighted by "
        "how well it is known. (Amdahl 1967)");
    put(to, "Serial fraction after Karp and Flatt",
        "The serial fraction that one point by itself amounts to. Where it grows with n, it is the effort of working "
        "together that grows, not a fixed serial part. <span class=\"formula\">e(n) = (1/S(n) - 1/n) / (1 - "
        "1/n)</span>. (Karp, Flatt 1990)");
    put(to, "Causes",
        "Each phase of a step is divided as the step is, into what shrinks in proportion to the number of workers and "
        "what stays; what stays is its part in 1-p. The parts add up to 1-p; a negative one got shorter by more than "
        "in proportion.");
}

static void put_weak(FILE *to)
{
    put(to, "Scaled speedup, S",
        "How many times as many samples are done in a second as by one worker. <span class=\"formula\">S(n) = n T(1) / "
        "T(n)</span>");
    put(to, "Efficiency, E",
        "The share of each worker that is put to use. 100 % is the ideal: a step takes as long on n workers as on one. "
        "<span class=\"formula\">E(n) = S(n) / n = T(1) / T(n)</span>");
    put(to, "Gustafson's law, serial fraction s",
        "Each added worker adds its full rate but for the share s of a step. <span class=\"formula\">S(n) = n - s "
        "(n-1)</span>. (Gustafson 1988)");
    put(to, "Causes",
        "What each phase of a step grew by, over the smallest number of workers, is its part in s. The parts add up to "
        "s; a negative one got shorter.");
}

void report_html_definitions(FILE *to, const scaling_sweep *sweep)
{
    fputs("<section><h2>What the numbers mean</h2>\n<dl>\n", to);
    put(to, "Worker", "A process of the training (an MPI rank), with one or more threads.");
    put(to, "Step",
        "One turn of the training: a batch of samples goes through the network, and the parameters change.");
    put(to, "T(n), length of a step",
        "The median over the steps of a trial, after a warm-up; of several trials, the median of theirs.");
    put(to, "95 % interval",
        "Where the true value lies as far as the measurement can tell: were all of it repeated, 95 of 100 such "
        "intervals would hold it. That of T(n) is a bootstrap's: trials, and blocks of steps within them, are drawn "
        "again and again, and the middle 95 % of what comes out is kept. Those of S and E join the ones of T(1) and "
        "T(n); those of the laws follow from how far trials are from the law (Student's t, Fieller's theorem).");
    (sweep->mode == SCALING_WEAK ? put_weak : put_strong)(to);
    put(to, "Universal scalability law (USL)",
        "Amdahl's law with a second loss that grows with every pair of workers. <span class=\"formula\">S(n) = n / (1 "
        "+ contention (n-1) + coherency n (n-1))</span>. Contention is what workers wait for one after another, "
        "coherency what they have to agree on with each other; it is fastest on <span class=\"formula\">n = &radic;((1 "
        "- contention) / coherency)</span> workers. (Gunther 2007)");
    put(to, "Alpha-beta model of an all-reduce",
        "Adding up m bytes over n workers takes <span class=\"formula\">&alpha; log<sub>2</sub> n + &beta; m &middot; "
        "2 (n-1) / n</span>: &alpha; is the latency of one stage, 1/&beta; the bandwidth of one worker.");
    put(to, "Phases of a step",
        "data: waiting for a batch; forward, backward: computation; update: changing the parameters; other: the rest; "
        "imbalance: other workers than the slowest one were late; reduce: exposed communication, which computation "
        "does not hide. They are those of the worker that is the slowest on average, since the others wait for it, and "
        "add up to the length of a step.");
    put(to, "Worth it",
        "The largest number of workers whose efficiency reaches the target: as measured where that number was "
        "measured, else as expected. The ends of its interval are the largest numbers for which the lower and the "
        "upper end of the efficiency's interval reach it.");
    put(to, "Expected values",
        "Computation, imbalance and communication are each carried on to more workers by the trends that fit what was "
        "measured (constant, 1/n, log n, n, the alpha-beta model), each trend with the weight of how well it fits; the "
        "interval is the wider the further the trends part. What is not there yet at the size that was measured (a "
        "slower network between nodes, another algorithm) is not in them.");
    fputs("</dl></section>\n", to);
}
