/*
 * pool-btree WRITER WRITERS COUNT [ask] [window]: one of WRITERS guests that put COUNT keys each
 * into one B-tree, in the pool "tree".
 * pool-btree check WRITERS COUNT [window]: finds every key of all of them once, and the tree whole.
 * pool-btree flushed WRITERS COUNT WRITER: finds the first COUNT keys of one, and the tree whole.
 *
 * It proves that pages come back at their addresses, with what is in them now, while other guests
 * go on changing the tree. With "ask" it asks for a checkpoint halfway, with the root pinned for
 * reading and a leaf pinned for writing.
 *
 * The tree is a B-link tree (Lehman and Yao, 1981): each node knows its right neighbour and the
 * highest key below it, so a search finds its way past a split that its parent does not know yet.
 * A split publishes the new right node first, then the left one, then the parent: after each of
 * these the tree is whole. No operation holds two pages for writing, so there is no deadlock.
 */
#include "../self-check.h"
#include "stasis-pool.h"
#include "stasis.h"

#define PAGE 4096u
#define SLOTS 16u
#define FANOUT 64u
#define NO_PAGE 0u
#define DEPTH_MAX 16
#define NODE_MAGIC 0x45444f4eu
#define META_MAGIC 0x4154454du

struct meta {
  uint32_t magic, root, next_free, height;
};

struct node {
  uint32_t magic, level, count, right;
  uint64_t high; /* every key in it and below is at most this */
  struct { uint64_t key, value; } entry[FANOUT];
};

static _Alignas(PAGE) uint8_t slots[SLOTS * PAGE];
static uint32_t pool, retries, stale, replaced;

static void must(const char *what, int32_t answer) {
  if (answer != 0) differs(what, (uint64_t)answer, 0);
}

static void *pin(uint32_t page, uint32_t mode) {
  void *address;
  int32_t answer = pool_pin(pool, page, mode, &address);
  /* Others have it for long, or all frames are in use: both pass. */
  while (answer == POOL_EDEADLK || answer == POOL_ENOBUFS) {
    retries++;
    answer = pool_pin(pool, page, mode, &address);
  }
  must("pool_pin", answer);
  return address;
}

static void unpin(uint32_t page) { must("pool_unpin", pool_unpin(pool, page, 0)); }

/* 1: published. 0: others changed the page around a checkpoint, so this has to be done again. */
static int publish(uint32_t page) {
  int32_t answer = pool_unpin(pool, page, 1);
  if (answer == POOL_ESTALE) return stale++, 0;
  must("pool_unpin, dirty", answer);
  return 1;
}

static int was_replaced(uint32_t page) {
  uint32_t changed;
  must("pool_changed", pool_changed(pool, page, &changed));
  replaced += changed;
  return (int)changed;
}

/* Copies a page as it was at one moment. */
static void read_page(uint32_t page, void *into) {
  const void *bytes = pin(page, POOL_READ);
  do memcpy(into, bytes, PAGE);
  while (was_replaced(page));
  unpin(page);
}

static union { struct meta meta; uint8_t bytes[PAGE]; } top;

static const struct meta *read_meta(void) {
  read_page(0, &top);
  if (top.meta.magic != META_MAGIC) differs("magic of the first page", top.meta.magic, META_MAGIC);
  return &top.meta;
}

static union node_page { struct node node; uint8_t bytes[PAGE]; } look;

static const struct node *read_node(uint32_t page) {
  read_page(page, &look);
  if (look.node.magic != NODE_MAGIC) differs("magic of a node", look.node.magic, NODE_MAGIC);
  if (look.node.count > FANOUT) differs("entries of a node", look.node.count, FANOUT);
  return &look.node;
}

/* The first entry whose key is not below `key`. */
static uint32_t lower_bound(const struct node *node, uint64_t key) {
  uint32_t low = 0, high = node->count <= FANOUT ? node->count : FANOUT;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (node->entry[middle].key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void make_tree(void) {
  struct meta *meta = pin(0, POOL_WRITE);
  if (meta->magic == META_MAGIC) return unpin(0);
  struct node *root = pin(1, POOL_WRITE);
  *root = (struct node){.magic = NODE_MAGIC, .high = UINT64_MAX};
  int made = publish(1);
  *meta = (struct meta){.magic = META_MAGIC, .root = 1, .next_free = 2, .height = 1};
  if (!(made ? publish(0) : (unpin(0), 0))) make_tree();
}

/* A page that nobody else was given. Across a checkpoint one can be lost, never given twice. */
static uint32_t new_page(void) {
  for (;;) {
    struct meta *meta = pin(0, POOL_WRITE);
    uint32_t page = meta->next_free++;
    if (publish(0)) return page;
  }
}

/* Walks from the root to the node of `level` that `key` belongs in; notes the nodes above it. */
static CALL uint32_t descend(uint64_t key, uint32_t level, uint32_t *path) {
  uint32_t page = read_meta()->root;
  for (;;) {
    const struct node *node = read_node(page);
    if (key > node->high) {
      page = node->right;
      continue;
    }
    if (node->level == level) return page;
    if (node->level < level) return NO_PAGE;
    if (path != NULL && node->level < DEPTH_MAX) path[node->level] = page;
    page = (uint32_t)node->entry[lower_bound(node, key)].value;
  }
}

static void insert_at(uint64_t key, uint64_t value, uint32_t level);

/* The root was split: there has to be one above the two halves. 0: somebody else saw to it. */
static CALL int grow(uint32_t left, uint32_t level) {
  uint32_t page = new_page();
  struct node half = *read_node(left);
  struct node *root = pin(page, POOL_WRITE);
  *root = (struct node){.magic = NODE_MAGIC, .level = level + 1, .count = 2, .high = UINT64_MAX};
  root->entry[0].key = half.high;
  root->entry[0].value = left;
  root->entry[1].key = UINT64_MAX;
  root->entry[1].value = half.right;
  if (!publish(page)) return 0;
  struct meta *meta = pin(0, POOL_WRITE);
  if (meta->root != left) return unpin(0), 0;
  meta->root = page;
  meta->height = level + 2;
  return publish(0);
}

/* Splits a full node. Its keys are all found afterwards, with or without the parent's help. */
static CALL void split(uint32_t page) {
  uint32_t right = new_page();
  struct node *left = pin(page, POOL_WRITE);
  if (left->count < FANOUT) return unpin(page);
  struct node *half = pin(right, POOL_WRITE);
  uint32_t keep = FANOUT / 2, level = left->level, was_root = 0;
  uint64_t separator = left->entry[keep - 1].key;
  *half = *left;
  memmove(half->entry, left->entry + keep, (FANOUT - keep) * sizeof half->entry[0]);
  half->count = FANOUT - keep;
  int whole = publish(right);
  left->count = keep;
  left->right = right;
  left->high = separator;
  if (!whole) return unpin(page);
  if (!publish(page)) return;
  was_root = read_meta()->root == page;
  if (was_root && grow(page, level)) return;
  insert_at(separator, right, level + 1);
}

/*
 * Above the leaves, entry i of a node leads to the keys up to its key. A split of the child that
 * entry i leads to makes two of it: up to the separator the old child, and from there to the old
 * key the new one.
 */
static int put(struct node *node, uint64_t key, uint64_t value) {
  uint32_t at = lower_bound(node, key), count = node->count;
  if (at < count && node->entry[at].key == key) return 0;
  if (at > count || count >= FANOUT) return 0;
  memmove(node->entry + at + 1, node->entry + at, (count - at) * sizeof node->entry[0]);
  node->count = count + 1;
  node->entry[at].key = key;
  if (node->level == 0) {
    node->entry[at].value = value;
  } else {
    node->entry[at].value = node->entry[at + 1].value;
    node->entry[at + 1].value = value;
  }
  return 1;
}

static CALL void insert_at(uint64_t key, uint64_t value, uint32_t level) {
  uint32_t path[DEPTH_MAX];
  uint32_t page = descend(key, level, path);
  /* The root of this level is not there yet: whoever split the old root makes it. */
  while (page == NO_PAGE) {
    uint32_t root = read_meta()->root;
    if (read_node(root)->level < level) grow(root, level - 1);
    page = descend(key, level, path);
  }
  for (;;) {
    struct node *node = pin(page, POOL_WRITE);
    uint32_t right = node->right, full = node->count >= FANOUT;
    if (key > node->high) {
      unpin(page);
      page = right;
      continue;
    }
    uint32_t at = lower_bound(node, key);
    int there = at < node->count && node->entry[at].key == key;
    if (there && !was_replaced(page)) return unpin(page);
    if (full) {
      unpin(page);
      split(page);
      page = descend(key, level, path);
      continue;
    }
    put(node, key, value);
    if (publish(page)) return;
    page = descend(key, level, path);
  }
}

/* Keys of all writers are spread over the whole range, so that they meet everywhere. */
static uint64_t key_of(uint32_t writer, uint32_t writers, uint32_t index) {
  uint64_t number = (uint64_t)index * writers + writer + 1;
  return (number * UINT64_C(0x9e3779b97f4a7c15)) >> 1 | 1;
}

static uint64_t value_of(uint64_t key) { return mix(key, 17); }

static void find(uint64_t key) {
  uint32_t page = descend(key, 0, NULL);
  const struct node *node = read_node(page);
  uint32_t at = lower_bound(node, key);
  /* Between the two reads the leaf may have been split. */
  if (key > node->high) return find(key);
  if (at == node->count || node->entry[at].key != key) differs("a key that was put in", 0, key);
  same("value of a key", node->entry[at].value, value_of(key));
}

/* Halfway, with pages pinned: the root for reading, a leaf for writing. */
static void ask_with_pins(uint64_t key) {
  uint32_t root = read_meta()->root, leaf = descend(key, 0, NULL);
  const struct node *above = pin(root, POOL_READ);
  struct node *below = leaf == root ? NULL : pin(leaf, POOL_WRITE);
  int32_t answer = stasis_checkpoint();
  same("address of the root", (uintptr_t)pin(root, POOL_READ), (uintptr_t)above);
  same("magic of the root", above->magic, NODE_MAGIC);
  uint32_t root_changed = (uint32_t)was_replaced(root), leaf_changed = 0;
  unpin(root);
  unpin(root);
  if (below != NULL) {
    same("magic of a leaf", below->magic, NODE_MAGIC);
    leaf_changed = (uint32_t)was_replaced(leaf);
    /* The same bytes again: published if nobody changed the page, refused if somebody did. */
    same("stale", publish(leaf) == 0, leaf_changed);
  }
  printf("%s, root %s, leaf %s\n",
         answer == STASIS_RESTARTED ? "restarted" : answer == 0 ? "checkpointed" : "refused",
         root_changed ? "changed" : "as before", leaf_changed ? "changed" : "as before");
}

static int work(uint32_t writer, uint32_t writers, uint32_t count, int asks) {
  make_tree();
  for (uint32_t index = 0; index < count; index++) {
    uint64_t key = key_of(writer, writers, index);
    insert_at(key, value_of(key), 0);
    find(key);
    if (asks && index == count / 2) ask_with_pins(key);
    /* What is printed is in the file. */
    if ((index + 1) % 250 == 0 || index + 1 == count) {
      must("pool_flush", pool_flush(pool));
      printf("%" PRIu32 " keys\n", index + 1);
    }
  }
  for (uint32_t index = 0; index < count; index++) find(key_of(writer, writers, index));
  return 0;
}

/* Every node below `page` lies within its bounds; returns how many nodes there are. */
static uint32_t check_below(uint32_t page, uint32_t level, uint64_t low, uint64_t high) {
  struct node node = *read_node(page);
  same("level of a node", node.level, level);
  if (node.high > high) differs("highest key of a node", node.high, high);
  uint32_t nodes = 1;
  uint64_t before = low;
  for (uint32_t at = 0; at < node.count; at++) {
    uint64_t key = node.entry[at].key;
    if (key <= before) differs("order of keys", key, before);
    if (key > node.high) differs("key above the highest", key, node.high);
    if (level > 0) nodes += check_below((uint32_t)node.entry[at].value, level - 1, before, key);
    before = key;
  }
  return nodes;
}

/* `only`: look for the keys of this writer; WHOLE: for those of all, and for no other. */
#define WHOLE UINT32_MAX
static void check(uint32_t writers, uint32_t count, uint32_t only) {
  const struct meta meta = *read_meta();
  uint32_t nodes = check_below(meta.root, meta.height - 1, 0, UINT64_MAX);
  uint32_t page = meta.root, keys = 0;
  for (uint32_t level = meta.height - 1; level > 0; level--) {
    page = (uint32_t)read_node(page)->entry[0].value;
  }
  uint64_t before = 0;
  for (; page != NO_PAGE; page = look.node.right) {
    const struct node *leaf = read_node(page);
    for (uint32_t at = 0; at < leaf->count; at++, keys++) {
      if (leaf->entry[at].key <= before) differs("order of leaves", leaf->entry[at].key, before);
      before = leaf->entry[at].key;
      same("value in a leaf", leaf->entry[at].value, value_of(before));
    }
  }
  for (uint32_t writer = 0; writer < writers; writer++) {
    if (only != WHOLE && only != writer) continue;
    for (uint32_t index = 0; index < count; index++) find(key_of(writer, writers, index));
  }
  if (only == WHOLE) same("keys in the tree", keys, (uint64_t)writers * count);
  printf("%" PRIu32 " keys in %" PRIu32 " nodes, height %" PRIu32 "\n", keys, nodes, meta.height);
}

static int has_word(int argc, char **argv, const char *word) {
  for (int at = 1; at < argc; at++) if (strcmp(argv[at], word) == 0) return 1;
  return 0;
}

int main(int argc, char **argv) {
  begin();
  uint32_t flags = has_word(argc, argv, "window") ? POOL_WINDOW : 0;
  int32_t opened = pool_open("tree", 4, PAGE, slots, SLOTS, flags, &pool);
  if (opened != 0) {
    printf("pool_open: error %" PRId32 "\n", opened);
    return 2;
  }
  uint32_t writers = argument_or(argc, argv, 2, 1), count = argument_or(argc, argv, 3, 1000);
  if (argc > 1 && strcmp(argv[1], "check") == 0) {
    check(writers, count, WHOLE);
  } else if (argc > 1 && strcmp(argv[1], "flushed") == 0) {
    check(writers, count, argument_or(argc, argv, 4, 0));
  } else {
    work(argument_or(argc, argv, 1, 0), writers, count, has_word(argc, argv, "ask"));
    fprintf(stderr, "%" PRIu32 " replaced, %" PRIu32 " stale, %" PRIu32 " retries\n", replaced, stale,
            retries);
  }
  must("pool_close", pool_close(pool));
  return ok("pool-btree");
}
