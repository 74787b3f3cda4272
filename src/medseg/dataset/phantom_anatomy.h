// A synthetic patient: solids of tissue in painting order. Later layers cover earlier ones.
#pragma once

#include <string>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/dataset/phantom_shapes.h"

namespace medseg::phantom {

/// What a scanner sees in a material.
struct Tissue {
    double hu = 0;       ///< mean, Hounsfield units
    double mottle = 0;   ///< amplitude of its texture, HU
    double grain = 12;   ///< feature size of its texture, mm
    double streaks = 0;  ///< HU that thin fat planes take away (muscle)
};

struct Layer {
    Solid solid;
    Tissue tissue;
    std::string label;                    ///< TotalSegmentator name; empty: no structure
    bool keepsLabel = false;              ///< changes HU only
    bool keepsTissue = false;             ///< changes the label only
    std::vector<std::string> onlyOver{};  ///< paints only where one of these labels lies; empty: everywhere
};

/// Body measures of one patient, in mm where not said otherwise.
struct Proportions {
    Vec3 scale{1, 1, 1};     ///< of the whole body along x, y, z
    Vec3 tilt{0, 0, 0};      ///< lying position: rotation about x, y, z in degrees
    Vec3 shift{0, 0, 0};     ///< of the body in the field of view
    double fat = 14;         ///< subcutaneous fat at the chest
    double contrast = 0.5;   ///< strength of the contrast medium, 0 (native) .. 1 (portal venous)
    double inspiration = 0;  ///< diaphragm below (negative) or above its usual height
    double scoliosis = 0;    ///< sideways amplitude of the spine
    double warp = 3;         ///< amplitude of the low-frequency deformation
    std::uint32_t seed = 0;  ///< of textures and bumps
};

/// Collects the layers of one patient; shared measures that organs lean on.
class Patient {
  public:
    explicit Patient(Random random);

    const Proportions& proportions() const { return proportions_; }
    const std::vector<Layer>& layers() const { return layers_; }

  private:
    void measure();
    void addTrunk();
    void addLungs();
    void addLungVessels(double side);
    void addAirways();
    void addHeart();
    void addArteries();
    void addVeins();
    void addLiver();
    void addStomachAndBowel();
    void addKidney(double side);
    void addSmallOrgans();
    void addMuscles(double side);
    void addSpine();
    void addVertebra(const std::string& level, double z, double height);
    void addPelvis();
    void addRibs(double side);
    void addShoulder(double side);
    void addSternum();

    void paint(Solid solid, const Tissue& tissue, const std::string& label = {});
    void tint(Solid solid, const Tissue& tissue, std::vector<std::string> onlyOver = {});
    /// A bone: cortical shell and spongy inside.
    void paintBone(const Solid& solid, const std::string& label, double cortex);
    /// `value` varied by a relative standard deviation (cut at two).
    double vary(double value, double relative);
    Vec3 jitter(const Vec3& position, double mm);
    std::uint32_t nextSeed() { return static_cast<std::uint32_t>(random_.next() >> 32); }
    /// Branching vessels that grow from `start` along `direction`.
    void growTree(const Vec3& start, const Vec3& direction, double radius, double length, int generations,
                  std::vector<TubePoint>& pairs);
    /// Centre of the vertebral body at height z.
    Vec3 spine(double z) const;
    /// Point on the inner chest wall, grown by `out`: angle 0 at the back, 180 at the front; side +1 right, -1 left.
    Vec3 chestWall(double z, double degrees, double side, double out) const;

    Random random_;
    Proportions proportions_;
    std::vector<Layer> layers_;
    Solid muscleOutline_, cavity_, diaphragm_, stomach_, liver_;
    Tissue blood_, vein_, organFat_, muscle_;
};

/// Height of the vertebral body centres, mm: "T10" lies at 10.
double vertebraHeight(const std::string& level);

}  // namespace medseg::phantom
