// The unpickler on pickles written byte by byte. What each opcode does: Python's pickletools.
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/pickle_reader.h"
#include "medseg/io/pickle_text.h"
#include "medseg/io/state_dict.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;
using Kind = PickleValue::Kind;

PickleValue load(const std::string& pickle) {
    const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size());
    return readPickle(bytes, "test.pkl").value;
}

void expectDamaged(const std::string& pickle, const std::string& problem) {
    try {
        load(pickle);
        ADD_FAILURE() << "accepted: " << problem;
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr(problem));
        EXPECT_THAT(error.what(), HasSubstr("test.pkl: "));
    }
}

TEST(Pickle, Scalars) {
    EXPECT_TRUE(load("N.").isNone());
    EXPECT_TRUE(load("\x88.").asBool());
    EXPECT_FALSE(load("I00\n.").asBool());
    EXPECT_EQ(load("I-12\n.").asInt(), -12);
    EXPECT_EQ(load("K\xff.").asInt(), 255);
    EXPECT_EQ(load("M\x01\x02.").asInt(), 513);
    EXPECT_EQ(load("J\xfe\xff\xff\xff.").asInt(), -2);
    EXPECT_EQ(load("\x8a\x00."s).asInt(), 0);
    EXPECT_EQ(load("\x8a\x02\x00\xff."s).asInt(), -256);
    EXPECT_EQ(load("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.").asDecimal(), "119547037146038801333356");
    EXPECT_EQ(load("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff."s).asDecimal(), "-18446744073709551616");
    EXPECT_EQ(load("L123L\n.").asInt(), 123);
    EXPECT_EQ(load("G\x3f\xf8\x00\x00\x00\x00\x00\x00."s).asDouble(), 1.5);
    EXPECT_EQ(load("F-2.5e3\n.").asDouble(), -2500);
    EXPECT_EQ(load("X\x02\x00\x00\x00h\xc3."s).asString(), "h\xef\xbf\xbd");  // half a character: replaced
    EXPECT_EQ(load("\x8c\x02ok.").asString(), "ok");
    EXPECT_EQ(load("S'a\\n\\x41'\n.").asString(), "a\nA");
    EXPECT_EQ(load("Vx\\u00e9\n.").asString(), "x\xc3\xa9");
    EXPECT_EQ(load("C\x02\x00\xff."s).asBytes(), "\x00\xff"s);
}

TEST(Pickle, IntegersOfAnySizeComeBack) {
    for (const char* digits :
         {"0", "127", "128", "-128", "-129", "255", "65536", "-9223372036854775808", "9223372036854775808",
          "-340282366920938463463374607431768211456", "99999999999999999999"}) {
        const std::string bytes = integerToBytes(*parsePickleInt(digits));
        const PickleValue back = integerFromBytes({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
        EXPECT_EQ(back.asDecimal(), digits);
    }
}

TEST(Pickle, Containers) {
    const PickleValue list = load(
        "\x80\x02]q\x00(K\x01K\x02"
        "e."s);
    ASSERT_EQ(list.kind(), Kind::List);
    EXPECT_EQ(list.items()[1].asInt(), 2);
    const PickleValue dict = load(
        "}(X\x01\x00\x00\x00"
        "aK\x01X\x01\x00\x00\x00"
        "aK\x02u."s);
    ASSERT_EQ(dict.entries().size(), 1u);
    EXPECT_EQ(dict.at("a").asInt(), 2);
    EXPECT_EQ(load("K\x01K\x02K\x03\x87.").items().size(), 3u);
    EXPECT_EQ(load("(K\x01t.").kind(), Kind::Tuple);
    EXPECT_EQ(load("\x8f(K\x01\x90.").typeName(), "set");
    // The same list twice, by reference.
    const PickleValue twice = load("]\x94h\x00\x86."s);
    EXPECT_EQ(twice.items()[0].node(), twice.items()[1].node());
}

TEST(Pickle, OrderedDictWithAttributes) {
    const PickleValue value = load(
        "\x80\x02"
        "ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00wK\x05u}X\x09\x00\x00\x00_metadata}sb."s);
    EXPECT_EQ(value.typeName(), "collections.OrderedDict");
    EXPECT_EQ(value.at("w").asInt(), 5);
    EXPECT_TRUE(value.state().at("_metadata").isDict());
}

TEST(Pickle, NumpyScalarsAndArrays) {
    const std::string f8 =
        "cnumpy\ndtype\n(X\x02\x00\x00\x00"
        "f8\x89\x88tR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"s;
    const PickleValue scalar =
        load("cnumpy.core.multiarray\nscalar\n"s + f8 + "C\x08\x00\x00\x00\x00\x00\x00\xf8\x3f\x86R."s);
    EXPECT_EQ(scalar.asDouble(), 1.5);
    // Big-endian int16 [[1, 2, 3]] in Fortran order is the same as in C order.
    const std::string i2 =
        "cnumpy\ndtype\n(X\x02\x00\x00\x00i2\x89\x88tR(K\x03X\x01\x00\x00\x00>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"s;
    const std::string array =
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
        "C\x01"
        "btRq\x05(K\x01K\x02K\x03\x86"s +
        i2 +
        "\x88"
        "C\x0c\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06tb"s;
    const PickleValue value = load(array + "h\x05\x86."s);
    const TensorRecord& a = value.items()[0].asTensor();
    EXPECT_TRUE(a.isNumpy);
    EXPECT_EQ(a.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_THAT(a.toDoubles(), ::testing::ElementsAre(1, 3, 5, 2, 4, 6));
    EXPECT_TRUE(value.items()[1].isTensor());  // the second reference too
    std::string wrong = array;
    wrong.replace(wrong.find("K\x02K\x03\x86"), 2, "K\x07");
    expectDamaged(wrong + ".", "numpy array");
}

TEST(Pickle, UnknownObjectsStayOpaque) {
    const PickleValue value = load("cmypackage.models\nNet\n)\x81}X\x01\x00\x00\x00xK\x07sb."s);
    EXPECT_TRUE(value.isOpaque());
    EXPECT_EQ(value.typeName(), "mypackage.models.Net");
    EXPECT_EQ(value.state().at("x").asInt(), 7);
    EXPECT_EQ(load("cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrK\x07sb."s).at("lr").asInt(), 7);
}

/// Each of these would run a command in Python.
TEST(Pickle, NothingIsExecuted) {
    const TemporaryFolder folder;
    const std::string marker = (folder.path() / "executed").string();
    const std::string command = "touch " + marker;
    const auto text = [](const std::string& value) {
        return "X" + std::string(1, static_cast<char>(value.size())) + "\x00\x00\x00"s + value;
    };
    for (const char* function :
         {"os\nsystem", "posix\nsystem", "nt\nsystem", "subprocess\nPopen", "subprocess\ncheck_output",
          "builtins\neval", "builtins\nexec", "__builtin__\neval", "builtins\n__import__", "builtins\ngetattr",
          "runpy\nrun_path", "pty\nspawn", "torch.hub\nload", "ctypes\nCDLL"}) {
        const PickleValue reduced = load("c"s + function + "\n" + text(command) + "\x85R.");
        EXPECT_TRUE(reduced.isOpaque()) << function;
        const PickleValue instance = load("(i"s + function + "\n.");
        EXPECT_TRUE(instance.isOpaque());
        load("("s + "c" + function + "\n" + text(command) + "o.");
        load("c"s + function + "\n" + text(command) + "\x85\x81.");
    }
    // Through copyreg, through torch's own hooks, through the state of an object.
    load("ccopyreg\n_reconstructor\ncos\nsystem\n" + text(command) + "N\x87R.");
    load("ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\ncos\nsystem\n" + text(command) + "\x85NtR.");
    load("cos\nsystem\n)R" + text(command) + "b.");
    EXPECT_FALSE(fs::exists(marker));
}

TEST(Pickle, DamagedPicklesAreRefused) {
    expectDamaged("", "ends too early");
    expectDamaged("K", "ends too early");
    expectDamaged(".", "empty stack");
    expectDamaged("t.", "no mark");
    expectDamaged("h\x05.", "memo entry 5");
    expectDamaged(
        "X\xff\xff\xff\x7f"
        "abc.",
        "ends too early");
    expectDamaged(
        "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"
        "abc.",
        "ends too early");
    expectDamaged(
        "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
        "abc.",
        "ends too early");
    expectDamaged("\xfe.", "unknown opcode");
    expectDamaged(
        "K\x01K\x02"
        "a.",
        "no list");
    expectDamaged("]K\x01K\x02s.", "no dict");
    expectDamaged("}(K\x01u.", "key without value");
    expectDamaged("\x80\x09N.", "protocol");
    expectDamaged("\x8b\xff\xff\xff\x7f.", "1024");
    expectDamaged("Inonsense\n.", "not a number");
    expectDamaged("cos", "within a line");
    expectDamaged("\x97.", "buffers");
    expectDamaged("\x82\x01.", "extension");
}

TEST(Pickle, CirclesAndDepthAreBounded) {
    const PickleValue circle = load(
        "]q\x00h\x00"
        "a."s);  // x = []; x.append(x)
    ASSERT_EQ(circle.items().size(), 1u);
    EXPECT_EQ(circle.items()[0].typeName(), "recursive reference");
    const PickleValue tuple = load(
        "]q\x00h\x00\x85q\x01"
        "a0h\x01."s);
    EXPECT_FALSE(formatPickleValue(tuple).empty());
    std::string deep(100000, ']');
    deep += std::string(99999, 'a') + ".";
    expectDamaged(deep, "levels deep");
    std::string deepTuple = "N" + std::string(200000, '\x85') + ".";
    expectDamaged(deepTuple, "levels deep");
    // Each list holds the one before twice: 2^300 paths, 300 objects.
    std::string bomb = "]";
    for (int i = 0; i < 300; ++i) bomb += "2\x86"s;
    const PickleValue value = load(bomb + ".");
    EXPECT_LT(formatPickleValue(value).size(), 20000u);
    EXPECT_TRUE(flattenTensors(value).empty());
    PickleValue full = PickleValue::list({TensorRecord::ofFloats({1}, std::vector<float>{1})});
    for (int i = 0; i < 300; ++i) full = PickleValue::list({full, full});
    EXPECT_THROW(flattenTensors(full), DataError);
    PickleLimits few;
    few.containers = 10;
    const std::string lists(20, ']');
    EXPECT_THROW(readPickle({reinterpret_cast<const std::uint8_t*>(lists.data()), lists.size()}, "x", nullptr, few),
                 DataError);
}

TEST(PickleValue, AccessorsNameTheKindFound) {
    PickleValue dict = PickleValue::dict();
    dict.set("a", 1);
    dict.set("a", "text");
    EXPECT_EQ(dict.entries().size(), 1u);
    EXPECT_EQ(dict.at("a").asString(), "text");
    EXPECT_THROW(dict.at("b"), DataError);
    try {
        dict.asInt();
        FAIL();
    } catch (const DataError& error) {
        EXPECT_STREQ(error.what(), "int expected, dict found");
    }
    EXPECT_EQ(formatPickleValue(dict), "{\"a\": \"text\"}");
}

}  // namespace
}  // namespace medseg
