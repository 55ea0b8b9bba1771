// Depthwise convolution in bfloat16, channels last, with its backward pass; sums in float32.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>
#include <ATen/Parallel.h>
#include <immintrin.h>
#include <vector>
using bf = at::BFloat16; constexpr int V=16;
static inline __m512 ld(const bf* p){ return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)),16)); }
static inline void st(bf* p, __m512 v){ _mm256_storeu_si256((__m256i*)p,(__m256i)_mm512_cvtneps_pbh(v)); }
struct G { int64_t N,H,W,C,OH,OW; int S,PT,PL; float hi; int64_t PH,PW; };
// x into a zero-padded float32 plane of 16 channels
static inline void pad_in(const bf* x,float* b,const G& g,int64_t n,int64_t c){
  for(int64_t h=0;h<g.PH;h++){ int64_t ih=h-g.PT; float* q=b+h*g.PW*V; if(ih<0||ih>=g.H){ memset(q,0,g.PW*V*4); continue; }
    for(int64_t w=0;w<g.PW;w++,q+=V){ int64_t iw=w-g.PL; _mm512_store_ps(q,iw<0||iw>=g.W?_mm512_setzero_ps():ld(x+((n*g.H+ih)*g.W+iw)*g.C+c)); } } }
template<int K> static inline __m512 dot(const float* p,int64_t row,const __m512* w){ __m512 a=_mm512_setzero_ps(),d=_mm512_setzero_ps();
  #pragma GCC unroll 5
  for(int i=0;i<K;i++)
    #pragma GCC unroll 5
    for(int j=0;j<K;j++){ if((i*K+j)&1) d=_mm512_fmadd_ps(_mm512_load_ps(p+i*row+j*V),w[i*K+j],d); else a=_mm512_fmadd_ps(_mm512_load_ps(p+i*row+j*V),w[i*K+j],a);}
  return _mm512_add_ps(a,d); }
static float* scratch(int64_t n){ static thread_local float* p=nullptr; static thread_local int64_t cap=0; if(n>cap){ free(p); p=(float*)aligned_alloc(64,(n*4+63)/64*64); cap=n; } return p; }
template<int K> void fwd(const bf* x,const float* w,const float* b,bf* y,G g){
  int64_t Q=g.C/V;
  at::parallel_for(0,g.N*Q,1,[&](int64_t a,int64_t e){ float* buf=scratch(g.PH*g.PW*V);
    for(int64_t r=a;r<e;r++){ int64_t n=r/Q,c=r%Q*V; pad_in(x,buf,g,n,c);
      __m512 wk[K*K]; for(int k=0;k<K*K;k++) wk[k]=_mm512_loadu_ps(w+k*g.C+c);
      __m512 bias=_mm512_loadu_ps(b+c),z=_mm512_setzero_ps(),top=_mm512_set1_ps(g.hi);
      for(int64_t oh=0;oh<g.OH;oh++) for(int64_t ow=0;ow<g.OW;ow++){
        __m512 v=_mm512_add_ps(bias,dot<K>(buf+(oh*g.S*g.PW+ow*g.S)*V,g.PW*V,wk));
        if(g.hi>0) v=_mm512_min_ps(_mm512_max_ps(v,z),top);
        st(y+((n*g.OH+oh)*g.OW+ow)*g.C+c,v); } } });
}
template<int K> void bwd(const bf* gr,const bf* x,const bf* y,const float* w,bf* dx,float* dw,float* db,G g,bool needx,bool needw){
  int64_t DH=g.H+K-1,DW=g.W+K-1,fp=g.PH*g.PW*V,fd=DH*DW*V,fo=g.OH*g.OW*V;
  // channels are split among threads, so no two threads add to one sum
  at::parallel_for(0,g.C/V,1,[&](int64_t a,int64_t e){ float* xb=scratch(fp+fd+fo); float* gb=xb+fp; float* go=gb+fd;
    __m512 z=_mm512_setzero_ps(),top=_mm512_set1_ps(g.hi);
    memset(gb,0,fd*4);
    for(int64_t n=0;n<g.N;n++) for(int64_t q=a;q<e;q++){ int64_t c=q*V;
      __m512 rev[K*K],acc[K*K],bs=_mm512_loadu_ps(db+c); for(int k=0;k<K*K;k++){ rev[K*K-1-k]=_mm512_loadu_ps(w+k*g.C+c); acc[k]=_mm512_loadu_ps(dw+k*g.C+c); }
      {
        for(int64_t oh=0;oh<g.OH;oh++) for(int64_t ow=0;ow<g.OW;ow++){ int64_t o=((n*g.OH+oh)*g.OW+ow)*g.C+c; __m512 d=ld(gr+o);
          if(g.hi>0){ __m512 v=ld(y+o); d=_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v,z,_CMP_GT_OQ)&_mm512_cmp_ps_mask(v,top,_CMP_LT_OQ),d); }
          bs=_mm512_add_ps(bs,d); _mm512_store_ps(go+(oh*g.OW+ow)*V,d);
          int64_t t=oh*g.S+K-1-g.PT,u=ow*g.S+K-1-g.PL; if(t<DH&&u<DW) _mm512_store_ps(gb+(t*DW+u)*V,d); }
        if(needw){ pad_in(x,xb,g,n,c);
          for(int64_t oh=0;oh<g.OH;oh++) for(int64_t ow=0;ow<g.OW;ow++){ __m512 d=_mm512_load_ps(go+(oh*g.OW+ow)*V); const float* p=xb+(oh*g.S*g.PW+ow*g.S)*V;
            #pragma GCC unroll 5
            for(int i=0;i<K;i++)
              #pragma GCC unroll 5
              for(int j=0;j<K;j++) acc[i*K+j]=_mm512_fmadd_ps(_mm512_load_ps(p+(i*g.PW+j)*V),d,acc[i*K+j]); } }
        if(needx) for(int64_t h=0;h<g.H;h++) for(int64_t u=0;u<g.W;u++) st(dx+((n*g.H+h)*g.W+u)*g.C+c,dot<K>(gb+(h*DW+u)*V,DW*V,rev));
      }
      for(int k=0;k<K*K;k++) _mm512_storeu_ps(dw+k*g.C+c,acc[k]);
      _mm512_storeu_ps(db+c,bs); } });
}
static G geo(const at::Tensor& x,int64_t K,int64_t S,int64_t PT,int64_t PL,int64_t OH,int64_t OW,double hi){ G g{x.size(0),x.size(1),x.size(2),x.size(3),OH,OW,(int)S,(int)PT,(int)PL,(float)hi,0,0}; g.PH=std::max((OH-1)*S+K,g.H+PT); g.PW=std::max((OW-1)*S+K,g.W+PL); return g; }
at::Tensor forward(at::Tensor x,at::Tensor w,at::Tensor b,int64_t K,int64_t S,int64_t PT,int64_t PL,int64_t OH,int64_t OW,double hi){
  auto g=geo(x,K,S,PT,PL,OH,OW,hi); auto y=at::empty({g.N,OH,OW,g.C},x.options());
  (K==3?fwd<3>:fwd<5>)(x.data_ptr<bf>(),w.data_ptr<float>(),b.data_ptr<float>(),y.data_ptr<bf>(),g); return y; }
std::vector<at::Tensor> backward(at::Tensor gr,at::Tensor x,at::Tensor y,at::Tensor w,int64_t K,int64_t S,int64_t PT,int64_t PL,double hi,bool needx,bool needw){
  auto g=geo(x,K,S,PT,PL,y.size(1),y.size(2),hi); auto dx=at::empty_like(x),dw=at::zeros_like(w),db=at::zeros({g.C},w.options());
  (K==3?bwd<3>:bwd<5>)(gr.data_ptr<bf>(),x.data_ptr<bf>(),y.data_ptr<bf>(),w.data_ptr<float>(),dx.data_ptr<bf>(),dw.data_ptr<float>(),db.data_ptr<float>(),g,needx,needw);
  return {dx,dw,db}; }
TORCH_LIBRARY(geotag_depthwise,m){ m.def("forward",&forward); m.def("backward",&backward); }
